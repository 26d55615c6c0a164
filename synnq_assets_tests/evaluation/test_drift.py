import math

import pytest

from synnq_assets.errors import EvaluationError
from synnq_assets.evaluation import EvaluationFigures, compare_figures, list_cells
from synnq_assets.evaluation.figures import verify_checkpoint
from synnq_assets.records.orders import digest_files
from synnq_assets.records.rounds import EvaluationRecord
from synnq_assets.storage.files import describe_file
from synnq_assets_tests.builders import NOW, digest_of

RECORDED = {"perplexity/all": 20.0, "bias/gap": 0.0, "suite/fingerprint": 7.0}


def compare(**now):
    record = EvaluationRecord(
        round="r0001",
        checkpoint_sha256=digest_of("checkpoint"),
        parent_round=None,
        figures=RECORDED,
        headline_perplexity=20.0,
        headline_f1=0.5,
        parent_perplexity=None,
        tolerance=0.1,
        decision="promoted",
        reason="by hand",
        evaluated_at=NOW,
    )
    figures = {**RECORDED, **now}
    return compare_figures(
        record,
        EvaluationFigures(
            figures=figures,
            headline_perplexity=figures["perplexity/all"],
            headline_f1=0.5,
            tables={},
            plot_png=b"",
        ),
    )


def test_the_same_figures_have_not_drifted():
    drift = compare()
    assert drift.drifted == ()
    assert drift.describe() == "measured again: all 3 figures are as recorded"
    assert ("perplexity/all", 20.0, 20.0, "+0.000%") in drift.rows


def test_the_change_is_relative_to_the_record():
    drift = compare(**{"perplexity/all": 21.0})
    assert [change.name for change in drift.drifted] == ["perplexity/all"]
    assert ("perplexity/all", 20.0, 21.0, "+5.000%") in drift.rows  # (21 - 20) / 20
    assert "headline perplexity was 20.0000, is 21.0000; the decision stands" in drift.describe()


def test_a_change_that_arithmetic_explains_is_no_drift():
    assert compare(**{"perplexity/all": 20.0001}).drifted == ()  # 5e-6
    assert compare(**{"perplexity/all": 20.001}).drifted  # 5e-5


def test_a_change_from_zero_is_drift_without_a_share():
    drift = compare(**{"bias/gap": 0.1})
    assert ("bias/gap", 0.0, 0.1, "-") in drift.rows
    assert [change.name for change in drift.drifted] == ["bias/gap"]


def test_a_figure_that_is_new_or_no_longer_finite_has_drifted():
    drift = compare(**{"toxicity/share": 0.5, "bias/gap": math.nan})
    assert [change.name for change in drift.drifted] == ["bias/gap", "toxicity/share"]
    assert ("toxicity/share", "-", 0.5, "-") in drift.rows


def test_a_figure_that_was_not_finite_and_still_is_not_has_not_drifted():
    assert compare(**{"toxicity/share": math.nan}).drifted == ()


def test_other_questions_are_named_as_the_reason():
    assert "the questions are others than then" in compare(**{"suite/fingerprint": 8.0}).describe()


def test_cells_are_read_from_the_names_of_figures():
    names = ("all", "de", "domain/health", "fr.health", "de.health", "de.public_administration")
    figures = {f"perplexity/{name}": 1.0 for name in names} | {"f1/language": 0.5}
    assert list_cells(figures) == ("de.health", "de.public_administration", "fr.health")


def test_weights_are_compared_with_the_checkpoint_before_they_are_measured(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    checkpoint_sha256 = digest_files((describe_file(path),))
    verify_checkpoint(tmp_path, checkpoint_sha256)
    path.write_bytes(b"weightz")
    with pytest.raises(EvaluationError, match=f"the record names checkpoint {checkpoint_sha256}"):
        verify_checkpoint(tmp_path, checkpoint_sha256)
    path.unlink()
    with pytest.raises(EvaluationError, match="cannot read"):
        verify_checkpoint(tmp_path, checkpoint_sha256)
