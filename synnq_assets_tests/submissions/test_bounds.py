import math

import numpy as np
import pytest

from synnq_assets.records.orders import LrSegment
from synnq_assets.settings.recipe import TrainingSettings
from synnq_assets.submissions.bounds import bound_adam_step, bound_learning_rate_sum, count_steps
from synnq_assets.submissions.checks.probe import score_rise


def test_steps_are_counted_shard_by_shard_and_rounded_up(world):
    # 1025 tokens: 1024 targets, 32 windows, 4 steps; 513: 16 windows, 2 steps; two epochs
    assert count_steps(world.order, world.recipe.training) == 12
    # windows of 100: 11 and 6; batches of 8: 2 and 1; two epochs
    odd = TrainingSettings(sequence_tokens=100, batch_sequences=8)
    assert count_steps(world.order, odd) == 6


def test_the_rate_sum_of_a_constant_segment_is_steps_times_rate():
    constant = LrSegment(fractions=(0.0, 1.0), learning_rates=(0.25, 0.25))
    assert bound_learning_rate_sum(constant, 8) == 2.0


def test_the_rate_sum_takes_the_larger_end_of_each_step():
    # rates at 0, 1/2, 1 are 0, 1, 2: steps may see up to 1 and 2
    rising = LrSegment(fractions=(0.0, 1.0), learning_rates=(0.0, 2.0))
    assert bound_learning_rate_sum(rising, 2) == 3.0


def test_the_rate_sum_sees_a_peak_within_a_step():
    peak = LrSegment(fractions=(0.0, 0.25, 1.0), learning_rates=(0.0, 4.0, 0.0))
    assert bound_learning_rate_sum(peak, 1) == 4.0


@pytest.mark.parametrize("num_steps", [1, 2, 7, 100])
@pytest.mark.parametrize("divide_by", [0, 1])
def test_the_rate_sum_bounds_both_usual_ways_to_read_a_segment(num_steps, divide_by):
    lr = LrSegment(fractions=(0.0, 0.31, 1.0), learning_rates=(0.1, 1.0, 0.05))
    last = max(1, num_steps - divide_by)
    assert sum(lr.at(k / last) for k in range(num_steps)) <= bound_learning_rate_sum(lr, num_steps)


@pytest.mark.parametrize(("beta1", "beta2"), [(0.9, 0.95), (0.9, 0.999), (0.5, 0.9)])
def test_the_adam_bound_holds_for_the_worst_gradients_and_is_nearly_reached(beta1, beta2):
    bound = bound_adam_step(beta1, beta2)
    # The worst gradients of Cauchy-Schwarz: g_k grows like (b1/b2)^k into the past.
    largest = 0.0
    for num_steps in range(1, 400):
        age = np.arange(num_steps)[::-1]
        a = (1 - beta1) * beta1**age / (1 - beta1**num_steps)
        b = (1 - beta2) * beta2**age / (1 - beta2**num_steps)
        gradients = a / b
        step = np.sum(a * gradients) / np.sqrt(np.sum(b * gradients**2))
        largest = max(largest, step)
    assert largest <= bound * (1 + 1e-12)
    assert largest > 0.99 * bound or beta2 == 0.999  # which needs thousands of steps


def test_the_adam_bound_is_worked_by_hand_and_infinite_where_there_is_none():
    # 0.1 / sqrt(0.05 (1 - 0.81 / 0.95)) = 1.16496...
    assert bound_adam_step(0.9, 0.95) == pytest.approx(1.164965, abs=1e-6)
    assert bound_adam_step(0.0, 0.5) == pytest.approx(math.sqrt(2))
    assert bound_adam_step(0.9, 0.5) == math.inf
    assert bound_adam_step(0.9, 1.0) == math.inf


def test_the_score_falls_from_one_to_zero_at_the_limit():
    assert [score_rise(rise, 0.02) for rise in (-1.0, 0.0, 0.01, 0.02, 0.5)] == [1, 1, 0.5, 0, 0]
    assert score_rise(1e-9, 0.0) == 0.0
    assert score_rise(math.nan, 0.02) == 0.0
