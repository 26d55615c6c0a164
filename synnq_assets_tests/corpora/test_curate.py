import json
import random
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from synnq_assets.corpora import build_statistics, curate_source
from synnq_assets.corpora.documents import REJECTED_SCHEMA, SCHEMA, Document
from synnq_assets.corpora.sources.sample_eu import write_sample
from synnq_assets.corpora.steps import STEPS
from synnq_assets.errors import EmptyCorpusError, SettingsError, SynnqError, UnknownSourceError
from synnq_assets.records.corpora import CurationReport
from synnq_assets.settings.recipe import CorpusSettings, SourceSettings

CORPUS = CorpusSettings(
    sources=(), licences=("CC0-1.0", "MIT", "CC-BY-4.0"), languages=("de", "fi", "en")
)


def sample(language, seed):
    return write_sample(language, "energy", random.Random(seed))[1]


def build_rows():
    rows = [
        {"text": sample(language, n), "license": "cc0-1.0", "language": language}
        for language in ("de", "fi")
        for n in range(6)
    ]
    good = rows[0]
    rows += [
        good | {"id": "copy", "text": good["text"].replace(" ", "  ")},
        good | {"license": "CC-BY-NC-4.0"},
        good | {"license": None},
        good | {"license": "do what you like"},
        good | {"tdm_reserved": True},
        good | {"licence_conflict": True, "text": sample("de", 99)},
        {"text": sample("fr", 1), "license": "MIT", "language": "de"},
        {"text": sample("fi", 50), "license": "CC BY 4.0", "language": "de", "domain": "Law"},
        {"text": "Kurzer Satz auf Deutsch.", "license": "MIT", "language": "de"},
        {"text": None, "license": "MIT", "language": "de"},
    ]
    return rows


def curate(tmp_path, rows, name="out"):
    folder = tmp_path / f"{name}-in"
    folder.mkdir()
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = SourceSettings(name="rows", kind="directory", params={"path": str(folder)})
    return curate_source(source, CORPUS, tmp_path / name)


def test_every_document_is_accounted_for_with_its_reason(tmp_path):
    report = curate(tmp_path, build_rows())
    assert report.num_input == 22
    assert report.num_kept == 13
    assert report.dropped == {
        "licence:missing": 1,
        "licence:not-accepted": 1,
        "licence:not-spdx": 1,
        "licence:tdm-reserved": 1,
        "language:not-wanted": 1,
        "language:undetermined": 1,
        "exact-dedup:duplicate": 1,
        "quality:too-short": 1,
    }
    assert report.review == {"licence:conflict": 1}
    assert report.languages == {"de": 6, "fi": 7}
    assert report.domains == {"general": 12, "law": 1}
    assert report.licences == {"CC0-1.0": 12, "CC-BY-4.0": 1}
    rejected = pq.read_table(tmp_path / "out/rejected.parquet")
    assert rejected.num_rows == report.num_input - report.num_kept
    assert "text" not in rejected.column_names


def test_the_files_have_the_documented_columns_and_order(tmp_path):
    report = curate(tmp_path, build_rows())
    table = pq.read_table(tmp_path / "out/documents.parquet")
    assert table.schema.equals(SCHEMA)
    assert pq.read_schema(tmp_path / "out/rejected.parquet").equals(REJECTED_SCHEMA)
    ids = table["doc_id"].to_pylist()
    assert ids == sorted(set(ids))
    assert table["num_characters"].to_pylist() == [len(text) for text in table["text"].to_pylist()]
    assert sum(table["redactions_email"].to_pylist()) == report.redactions["email"] > 0
    assert not any("@" in text for text in table["text"].to_pylist())
    assert CurationReport.parse((tmp_path / "out/report.json").read_bytes()) == report


def test_the_order_of_the_input_does_not_change_a_byte(tmp_path):
    rows = build_rows()
    first = curate(tmp_path, rows, "first")
    random.Random(5).shuffle(rows)
    second = curate(tmp_path, rows, "second")
    assert first.documents_sha256 == second.documents_sha256
    for name in ("documents.parquet", "rejected.parquet"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_refused_copy_never_displaces_a_permitted_one(tmp_path):
    text = sample("de", 1)
    rows = [{"id": str(n), "text": text, "license": "GPL-3.0-only"} for n in range(8)]
    report = curate(tmp_path, [*rows, {"id": "good", "text": text, "license": "MIT"}])
    assert report.num_kept == 1
    assert report.dropped == {"licence:not-accepted": 8}


def test_document_ids_come_from_source_origin_and_unredacted_text():
    document = Document(source="s", origin="o", text="a@b.example")
    # sha256 of "s|o|a@b.example", by sha256sum
    assert document.doc_id == "c32a8e9e94b569220f59c7c8628b998633953888d84307ef3a9c60dfb68ebff9"


def test_steps_run_in_the_order_of_the_registry():
    assert list(STEPS) == ["licence", "language", "exact-dedup", "quality", "redaction"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "source 'rows' holds no document"),
        (
            [{"text": "a", "license": "GPL-3.0-only"}, {"text": "b", "license": None}],
            r"none of 2 documents passed the licence gate \(licence:missing 1, "
            r"licence:not-accepted 1\)|none of 2 documents passed the licence gate "
            r"\(licence:not-accepted 1, licence:missing 1\)",
        ),
        (
            [{"text": "zu kurz", "license": "MIT", "language": "de"}],
            "none of 1 documents passed curation",
        ),
    ],
)
def test_an_empty_corpus_says_why_and_leaves_nothing(tmp_path, rows, message):
    with pytest.raises(EmptyCorpusError, match=message):
        curate(tmp_path, rows)
    assert not (tmp_path / "out").exists()


def test_an_unknown_kind_names_the_nearest(tmp_path):
    source = SourceSettings(name="x", kind="sample_eu")
    with pytest.raises(UnknownSourceError, match="unknown kind 'sample_eu'; did you mean 'sample-"):
        curate_source(source, CORPUS, tmp_path)


@pytest.mark.parametrize(
    ("kind", "params", "error"),
    [
        ("directory", {"path": "/nowhere/at/all"}, "does not exist; give params.path"),
        ("directory", {}, "params.path: required parameter is missing"),
        ("sample-eu", {"seeds": 1}, "params.seeds: unknown parameter; did you mean 'seed'"),
    ],
)
def test_wrong_parameters_are_one_sentence(tmp_path, kind, params, error):
    with pytest.raises(SynnqError, match=error) as caught:
        curate_source(SourceSettings(name="x", kind=kind, params=params), CORPUS, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_wrong_accepted_licence_is_found_before_anything_is_read(tmp_path):
    corpus = CORPUS.model_copy(update={"licences": ("MIT", "Creative Commons")})
    source = SourceSettings(name="x", kind="sample-eu")
    with pytest.raises(SettingsError, match="'Creative Commons' is not an SPDX id"):
        curate_source(source, corpus, tmp_path)


def test_statistics_add_up_and_the_plot_is_a_picture(tmp_path):
    report = curate(tmp_path, build_rows())
    statistics = build_statistics(tmp_path / "out/documents.parquet", report)
    documents = statistics.tables["Documents by language and domain"].splitlines()
    assert documents[0] == "| language | general | law | all |"
    assert documents[2:] == ["| de | 6 | 0 | 6 |", "| fi | 6 | 1 | 7 |", "| all | 12 | 1 | 13 |"]
    assert "| licence:missing | drop | 1 |" in statistics.tables["Not kept, by reason"]
    assert "| licence:conflict | review | 1 |" in statistics.tables["Not kept, by reason"]
    assert "| in review | 1 |" in statistics.tables["Documents"]
    assert statistics.plot_png.startswith(b"\x89PNG\r\n")


def test_importing_the_room_loads_no_heavy_library():
    code = (
        "import sys, synnq_assets.corpora\n"
        "heavy = ('torch', 'datasets', 'great_expectations', 'matplotlib', 'pandas', 'py3langid',"
        " 'phonenumbers', 'license_expression', 'dagster')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
