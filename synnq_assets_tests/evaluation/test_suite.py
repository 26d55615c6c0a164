import shutil

import pytest

from synnq_assets.errors import EvaluationError
from synnq_assets.evaluation import build_suite, open_suite
from synnq_assets.settings.recipe import EvaluationSettings
from synnq_assets_tests.evaluation.samples import sample_texts, write_holdout

SETTINGS = EvaluationSettings(documents_per_cell=2, items_per_task=6)


def read_all(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_documents_give_the_same_bytes_in_any_folder(tmp_path):
    files = write_holdout(tmp_path / "holdout", sample_texts())
    first = build_suite(files, SETTINGS, tmp_path / "a")
    second = build_suite(files[::-1], SETTINGS, tmp_path / "b")
    assert read_all(tmp_path / "a") == read_all(tmp_path / "b")
    assert first.sha256 == second.sha256
    assert first.cells == tuple(sorted(sample_texts()))
    assert first.tasks == ("perplexity", "language", "sector", "bias", "toxicity", "insults")
    assert str(tmp_path) not in (tmp_path / "a" / "suite.json").read_text()


def test_other_documents_or_settings_give_another_digest(tmp_path):
    files = write_holdout(tmp_path / "holdout", sample_texts())
    digest = build_suite(files, SETTINGS, tmp_path / "a").sha256
    assert build_suite(files[1:], SETTINGS, tmp_path / "b").sha256 != digest
    fewer = SETTINGS.model_copy(update={"items_per_task": 5})
    assert build_suite(files, fewer, tmp_path / "c").sha256 != digest


def test_a_suite_may_be_moved_but_not_changed(tmp_path):
    files = write_holdout(tmp_path / "holdout", sample_texts())
    built = build_suite(files, SETTINGS, tmp_path / "a")
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert open_suite(tmp_path / "b").sha256 == built.sha256
    lines = (tmp_path / "b" / "sector.jsonl").read_bytes()
    (tmp_path / "b" / "sector.jsonl").write_bytes(lines.replace(b'"answer":0', b'"answer":1', 1))
    with pytest.raises(EvaluationError, match=r"sector\.jsonl has been changed"):
        open_suite(tmp_path / "b")


@pytest.mark.parametrize("content", [None, b"{", b"[]", b'{"format":"synnq-suite-1"}'])
def test_a_damaged_suite_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "suite.json").write_bytes(content)
    with pytest.raises(EvaluationError, match="build it again"):
        open_suite(tmp_path)


def test_a_suite_of_another_version_is_refused(tmp_path):
    (tmp_path / "suite.json").write_bytes(b'{"format":"synnq-suite-9","tasks":[],"cells":{}}')
    with pytest.raises(EvaluationError, match="synnq-suite-9"):
        open_suite(tmp_path)


def test_an_empty_holdout_writes_nothing(tmp_path):
    with pytest.raises(EvaluationError, match="held-out set is empty"):
        build_suite([], SETTINGS, tmp_path / "suite")
    assert not (tmp_path / "suite").exists()


def test_one_short_document_is_too_little_for_f1(tmp_path):
    files = write_holdout(tmp_path / "holdout", {"de.health": ["Nur ein Satz."]})
    with pytest.raises(EvaluationError, match="too small for an F1 task"):
        build_suite(files, SETTINGS, tmp_path / "suite")
