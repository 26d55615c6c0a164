import hashlib

from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.shards.holdout import select_holdout


def build_ids(count, salt=""):
    return [hashlib.sha256(f"{salt}{k}".encode()).hexdigest() for k in range(count)]


def test_a_large_cell_keeps_its_share_back():
    held = select_holdout({"de.law": build_ids(20_000)}, 0.02)["de.law"]
    assert 330 <= len(held) <= 470  # 400, give or take three and a half standard deviations


def test_a_cell_of_eight_keeps_at_least_two_and_a_smaller_one_need_not():
    held = select_holdout({"de.law": build_ids(8), "fi.law": build_ids(7, "fi")}, 0.0001)
    assert len(held["de.law"]) == 2
    assert "fi.law" not in held


def test_a_share_of_zero_keeps_nothing_back():
    assert select_holdout({"de.law": build_ids(100)}, 0.0) == {}


@given(st.integers(8, 60), st.integers(0, 200), st.sampled_from([0.001, 0.05, 0.3]))
def test_what_was_trained_on_is_never_held_out_after_the_cell_grew(before, more, share):
    ids = build_ids(before + more)
    old = set(select_holdout({"c": ids[:before]}, share)["c"])
    new = set(select_holdout({"c": ids}, share)["c"])
    assert not (set(ids[:before]) - old) & new


@given(st.permutations(build_ids(12)))
def test_order_changes_nothing(ids):
    assert select_holdout({"c": ids}, 0.1) == select_holdout({"c": build_ids(12)}, 0.1)
