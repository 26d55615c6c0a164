"""What may leave a node is on a list; all else is refused before it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.errors import PrivacyError
from synnq_assets.privacy import (
    DIAGNOSTICS,
    METRICS,
    TRAINING_LOG,
    count_sequences,
    select_figures,
)
from synnq_assets.records.submissions import TrainingMetrics

ROW = {
    "seconds": 1.26,
    "cpu_percent": 12.4,
    "memory_bytes": 3 * 2**30 + 1,
    "gpu_percent": None,
    "gpu_watts": 301.9,
}


def test_figures_are_as_coarse_as_registered():
    # steps of 0.5 s, 1 %, 64 MiB, 5 W
    assert select_figures(DIAGNOSTICS, ROW) == {
        "seconds": 1.5,
        "cpu_percent": 12.0,
        "memory_bytes": 3 * 2**30,
        "gpu_percent": None,
        "gpu_watts": 300.0,
    }


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hostname": 1.0}, "a row must hold exactly"),
        ({"seconds": "nid001"}, "a str stays here"),
        ({"gpu_watts": b"GPU-1"}, "a bytes stays here"),
        ({"cpu_percent": float("nan")}, "cpu_percent must be finite"),
        ({"cpu_percent": float("inf")}, "cpu_percent must be finite"),
        ({"memory_bytes": 1.5}, "memory_bytes must be integer"),
        ({"memory_bytes": True}, "a bool stays here"),
        ({"seconds": None}, "a NoneType stays here"),
        ({"seconds": ["a sentence"]}, "a list stays here"),
    ],
)
def test_anything_else_stays_on_the_node(changes, says):
    with pytest.raises(PrivacyError, match=says) as refusal:
        select_figures(DIAGNOSTICS, {**ROW, **changes})
    assert "nid001" not in str(refusal.value)
    assert "hostname" not in str(refusal.value)


@given(name=st.sampled_from(sorted(TRAINING_LOG)), value=st.text() | st.binary() | st.none())
def test_no_text_is_ever_let_through(name, value):
    row = {key: 1 if figure.kind == "integer" else 1.0 for key, figure in TRAINING_LOG.items()}
    row[name] = value
    if value is None and TRAINING_LOG[name].is_optional:
        assert select_figures(TRAINING_LOG, row)[name] is None
        return
    with pytest.raises(PrivacyError):
        select_figures(TRAINING_LOG, row)


def test_no_list_registers_text_and_the_manifest_sums_up_what_is_registered():
    for figures in (TRAINING_LOG, DIAGNOSTICS, METRICS):
        assert {figure.kind for figure in figures.values()} <= {"integer", "floating"}
    assert METRICS.keys() == TrainingMetrics.model_fields.keys()


def test_sequences_are_counted_from_below():
    # 65 targets cannot come from fewer than three sequences of 32
    assert [count_sequences(tokens, 32) for tokens in (0, 1, 32, 33, 64, 65)] == [0, 1, 1, 2, 2, 3]
