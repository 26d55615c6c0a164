import numpy as np
import pytest

from synnq_assets.aggregation.rules import RULES, build_rule
from synnq_assets.errors import AggregationError, SettingsError
from synnq_assets.settings.base import Variant


def rule(name, **params):
    return build_rule(Variant(name=name, params=params))


def equal(n):
    return np.full(n, 1 / n)


def test_mean_is_the_weighted_sum():
    updates = np.array([[1.0, 10.0], [3.0, -10.0]])
    assert rule("mean").combine(updates, np.array([0.25, 0.75])).tolist() == [2.5, -5.0]


def test_trimmed_mean_drops_one_at_each_end_of_each_coordinate():
    # first column: 1 2 3 remain -> 2; second: -1 0 4 remain -> 1
    updates = np.array([[0.0, 4.0], [1.0, 900.0], [2.0, -1.0], [3.0, -900.0], [99.0, 0.0]])
    combined = rule("trimmed-mean", trim_share=0.2).combine(updates, equal(5))
    assert combined == pytest.approx([2.0, 1.0])


def test_trimmed_mean_renormalises_the_weights_that_remain():
    # 1 (0.1) and 9 (0.4) go; (0.2 * 2 + 0.1 * 3 + 0.2 * 4) / 0.5 = 3
    updates = np.array([[1.0], [2.0], [3.0], [4.0], [9.0]])
    weights = np.array([0.1, 0.2, 0.1, 0.2, 0.4])
    assert rule("trimmed-mean").combine(updates, weights) == pytest.approx([3.0])


def test_trimmed_mean_of_four_trims_nothing_at_its_default():
    updates, weights = np.array([[1.0], [2.0], [3.0], [94.0]]), equal(4)
    assert rule("trimmed-mean").combine(updates, weights).tolist() == [25.0]
    assert rule("trimmed-mean").count_tolerated(weights) == 0


def test_trimmed_mean_counts_whole_submissions_despite_binary_fractions():
    assert rule("trimmed-mean", trim_share=0.29).count_tolerated(equal(100)) == 29
    assert rule("trimmed-mean", trim_share=0.2).count_tolerated(equal(5)) == 1
    assert rule("trimmed-mean", trim_share=0.2).count_tolerated(equal(9)) == 1


def test_median_takes_the_middle_and_the_mean_of_two_middles():
    odd = np.array([[5.0], [1.0], [3.0]])
    even = np.array([[4.0], [1.0], [3.0], [2.0]])
    assert rule("median").combine(odd, equal(3)).tolist() == [3.0]
    assert rule("median").combine(even, equal(4)).tolist() == [2.5]
    assert rule("median").combine(odd[:1], equal(1)).tolist() == [5.0]


@pytest.mark.parametrize("n", range(1, 12))
def test_median_of_equal_weights_is_the_ordinary_median(n):
    updates = np.random.default_rng(n).normal(size=(n, 50))
    np.testing.assert_allclose(
        rule("median").combine(updates, equal(n)), np.median(updates, axis=0), rtol=1e-15
    )


def test_median_follows_the_weight():
    updates = np.array([[1.0], [2.0], [3.0]])
    assert rule("median").combine(updates, np.array([0.6, 0.2, 0.2])).tolist() == [1.0]
    assert rule("median").combine(updates, np.array([0.5, 0.2, 0.3])).tolist() == [1.5]


def test_median_tolerates_as_many_as_cannot_hold_half_of_the_weight():
    assert rule("median").count_tolerated(equal(5)) == 2
    assert rule("median").count_tolerated(equal(4)) == 1
    assert rule("median").count_tolerated(np.array([0.6, 0.2, 0.2])) == 0


@pytest.mark.parametrize(
    ("name", "n"), [("mean", 50), ("trimmed-mean", 4), ("median", 2), ("median", 1)]
)
def test_a_round_too_small_for_the_promise_is_refused(name, n):
    with pytest.raises(AggregationError, match=f"rule {name} tolerates 0 bad of {n} submissions"):
        rule(name, max_faulty=1).verify_condition(equal(n))


@pytest.mark.parametrize(("name", "n"), [("trimmed-mean", 5), ("median", 3)])
def test_a_round_large_enough_for_the_promise_passes(name, n):
    rule(name, max_faulty=1).verify_condition(equal(n))


def test_an_unknown_rule_is_answered_with_the_nearest():
    with pytest.raises(SettingsError, match="no rule named 'trimed-mean'; did you mean 'trimmed"):
        rule("trimed-mean")


@pytest.mark.parametrize("params", [{"trim_share": 0.5}, {"trim_share": -0.1}, {"trim": 0.2}])
def test_a_wrong_parameter_is_refused(params):
    with pytest.raises(SettingsError, match=r"aggregation.rule trimmed-mean: trim"):
        rule("trimmed-mean", **params)


def test_the_registry_knows_every_rule_by_its_own_name():
    assert list(RULES) == ["mean", "trimmed-mean", "median"]
    assert all(cls.name == name for name, cls in RULES.items())
