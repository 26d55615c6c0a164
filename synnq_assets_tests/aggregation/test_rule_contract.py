"""What every rule must keep, whatever it is."""

import numpy as np
import pytest

from synnq_assets.aggregation.rules import RULES, build_rule
from synnq_assets.settings.base import Variant

# Two of seven at either end for the trimmed mean, so that each rule has something to do.
PARAMS = {"trimmed-mean": {"trim_share": 0.3}}


@pytest.fixture(params=sorted(RULES))
def rule(request):
    return build_rule(Variant(name=request.param, params=PARAMS.get(request.param, {})))


def draw(n, num_elements, seed=0):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.5, 1.5, size=n)
    return rng.normal(size=(n, num_elements)), weights / weights.sum()


def test_the_order_of_submissions_does_not_matter(rule):
    updates, weights = draw(7, 400)
    expected = rule.combine(updates, weights)
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(7)
        combined = rule.combine(updates[order], weights[order])
        np.testing.assert_allclose(combined, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_shape_and_dtype_are_kept_and_inputs_untouched(rule, n):
    updates, weights = draw(n, 33)
    before = updates.copy(), weights.copy()
    combined = rule.combine(updates, weights)
    assert combined.shape == (33,)
    assert combined.dtype == np.float64
    np.testing.assert_array_equal(updates, before[0])
    np.testing.assert_array_equal(weights, before[1])


def test_coordinates_do_not_see_each_other(rule):
    updates, weights = draw(6, 97)
    whole = rule.combine(updates, weights)
    pieces = [rule.combine(updates[:, k : k + 10], weights) for k in range(0, 97, 10)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_what_all_send_is_what_comes_out(rule):
    update = np.random.default_rng(1).normal(size=50)
    _, weights = draw(5, 1)
    combined = rule.combine(np.tile(update, (5, 1)), weights)
    np.testing.assert_allclose(combined, update, rtol=1e-14)


def test_the_result_lies_between_the_smallest_and_the_largest(rule):
    updates, weights = draw(9, 300, seed=4)
    combined = rule.combine(updates, weights)
    assert (combined >= updates.min(axis=0) - 1e-12).all()
    assert (combined <= updates.max(axis=0) + 1e-12).all()


@pytest.mark.parametrize("magnitude", [1e3, 1e30, -1e30])
def test_one_bad_of_five_stays_among_the_honest_wherever_tolerated(rule, magnitude):
    updates, _ = draw(5, 200, seed=2)
    weights = np.full(5, 0.2)
    updates[3] = magnitude
    honest = np.delete(updates, 3, axis=0)
    combined = rule.combine(updates, weights)
    is_bounded = bool(
        (combined >= honest.min(axis=0)).all() and (combined <= honest.max(axis=0)).all()
    )
    assert is_bounded == (rule.count_tolerated(weights) >= 1)
