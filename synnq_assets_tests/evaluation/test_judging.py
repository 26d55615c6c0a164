import math

import pytest

from synnq_assets.errors import EvaluationError
from synnq_assets.evaluation import EvaluationFigures, judge_checkpoint, plot_rounds
from synnq_assets.records.rounds import EvaluationRecord
from synnq_assets.settings.recipe import EvaluationSettings

SETTINGS = EvaluationSettings(rollback_tolerance=0.02)


def build_figures(perplexity, *, f1=0.5, **more):
    return EvaluationFigures(
        figures={"perplexity/all": perplexity, "f1/language": f1, "suite/fingerprint": 7.0, **more},
        headline_perplexity=perplexity,
        headline_f1=f1,
        tables={},
        plot_png=b"",
    )


def judge(figures, parent=None, key="r0001"):
    return judge_checkpoint(
        round_key=key,
        checkpoint_sha256="a" * 64,
        figures=figures,
        parent=parent,
        settings=SETTINGS,
    )


def test_the_first_checkpoint_is_promoted():
    record = judge(build_figures(2048.0), key="r0000")
    assert record.decision == "promoted"
    assert record.parent_round is None
    assert record.parent_perplexity is None


@pytest.mark.parametrize(
    ("perplexity", "decision"),
    [(90.0, "promoted"), (102.0, "promoted"), (102.01, "rolled_back"), (500.0, "rolled_back")],
)
def test_the_limit_is_the_parent_plus_the_tolerance(perplexity, decision):
    parent = judge(build_figures(100.0), key="r0000")  # limit: 100 * 1.02 = 102
    record = judge(build_figures(perplexity), parent)
    assert record.decision == decision
    assert (record.parent_round, record.parent_perplexity) == ("r0000", 100.0)
    assert "102.0000" in record.reason


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("parent", [None, 100.0])
def test_figures_that_are_not_finite_roll_back(value, parent):
    before = parent and judge(build_figures(parent), key="r0000")
    record = judge(build_figures(value, f1=math.nan), before or None)
    assert record.decision == "rolled_back"
    assert record.reason == "not a finite number: f1/language, perplexity/all"
    assert record.figures == {"suite/fingerprint": 7.0}
    assert EvaluationRecord.parse(record.canonical_bytes()) == record


def test_one_lesser_figure_that_is_not_finite_is_enough():
    record = judge(build_figures(50.0, **{"bias/gap": math.nan}))
    assert (record.decision, record.reason) == ("rolled_back", "not a finite number: bias/gap")
    assert record.headline_perplexity == 50.0


def test_records_of_different_suites_are_not_compared():
    parent = judge(build_figures(100.0), key="r0003")
    other = build_figures(100.0, **{"suite/fingerprint": 8.0})
    with pytest.raises(EvaluationError, match="parent r0003 was measured on another suite"):
        judge(other, parent)


def test_rounds_are_drawn_even_where_one_has_no_figures():
    first = judge(build_figures(100.0), key="r0000")
    records = [judge(build_figures(math.inf), first, key="r0002"), first]
    records.append(judge(build_figures(90.0), first))
    png = plot_rounds(records)
    assert png.startswith(b"\x89PNG")
    assert png == plot_rounds(records[::-1])
    assert png != plot_rounds(records[1:])
