"""Figures on real, labelled text; the folder is named by SYNNQ_TEST_DATA."""

import io
import json
import os
from collections import Counter
from pathlib import Path

import pytest
import zstandard

from synnq_assets.corpora import curate_source
from synnq_assets.corpora.sources import build_source
from synnq_assets.corpora.steps import Keep
from synnq_assets.corpora.steps.licence import LicenceStep
from synnq_assets.corpora.steps.redaction import redact_emails, redact_ibans, redact_phones
from synnq_assets.settings.recipe import CorpusSettings, SourceSettings

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not os.environ.get("SYNNQ_TEST_DATA"), reason="SYNNQ_TEST_DATA is not set"),
]

LICENCES = (
    *("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "MIT", "Apache-2.0", "etalab-2.0", "DL-DE-BY-2.0"),
    *("EUPL-1.2", "LicenseRef-DE-UrhG-5", "LicenseRef-EE-AutOS-5"),
)
LANGUAGES = (
    *("bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "hr", "hu"),
    *("it", "lt", "lv", "nl", "no", "pl", "pt", "ro", "sk", "sl", "sv"),
)
CORPUS = CorpusSettings(sources=(), licences=LICENCES, languages=LANGUAGES)
FILES = "ci_small.jsonl.zst"


@pytest.fixture(scope="module")
def source():
    params = {"path": os.environ["SYNNQ_TEST_DATA"], "files": FILES}
    params["columns"] = {"origin": "id"}  # ties each document to its label
    return SourceSettings(name="shared", kind="directory", params=params)


@pytest.fixture(scope="module")
def labels():
    path = Path(os.environ["SYNNQ_TEST_DATA"]) / "dev_labels.jsonl.zst"
    with path.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file)
        rows = [json.loads(line) for line in io.TextIOWrapper(stream, encoding="utf-8")]
    return {row["id"]: row for row in rows}


def read(source):
    for document in build_source(source).read():
        yield document.origin.partition("#")[0], document


def test_every_injected_address_number_and_account_is_redacted(source, labels):
    found, injected = Counter(), Counter()
    for key, document in read(source):
        text = redact_phones(redact_ibans(redact_emails(document.text)[0])[0])[0]
        for span in labels[key]["pii"] or ():
            injected[span["type"]] += 1
            found[span["type"]] += span["value"] not in text
    for kind in ("EMAIL", "PHONE", "IBAN"):
        assert injected[kind] >= 20
        assert found[kind] == injected[kind], kind


def test_every_licence_fixture_gets_its_verdict(source, labels):
    step = LicenceStep(CORPUS)
    verdicts = Counter()
    for key, document in read(source):
        accepted = isinstance(step.judge(document), Keep)
        assert accepted == labels[key]["truth_license_ok"], document.licence
        verdicts[accepted] += 1
    assert min(verdicts.values()) >= 20


def test_curation_keeps_no_junk_and_the_true_language(source, labels, tmp_path):
    import pyarrow.parquet as pq

    report = curate_source(source, CORPUS, tmp_path)
    table = pq.read_table(tmp_path / "documents.parquet", columns=["origin", "language"])
    kept = [(row["origin"].partition("#")[0], row["language"]) for row in table.to_pylist()]
    assert not [key for key, _ in kept if labels[key]["junk"]]
    wrong = [key for key, language in kept if language != labels[key]["truth_language"]]
    assert len(wrong) / report.num_kept < 0.01
