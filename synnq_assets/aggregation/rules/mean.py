"""Weighted mean: the sum of weight times update.

Tolerates no bad submission: one that is far enough away carries the mean anywhere.
Source: McMahan et al. 2017 (FedAvg), arXiv:1602.05629.
"""

from typing import ClassVar

import numpy as np

from synnq_assets.aggregation.rules.base import Float64, Rule


class Mean(Rule):
    """Average everything."""

    name: ClassVar[str] = "mean"

    def count_tolerated(self, weights_N: Float64) -> int:  # noqa: D102 - contract in the base
        return 0

    def combine(self, updates_NB: Float64, weights_N: Float64) -> Float64:  # noqa: D102
        return sum_weighted(updates_NB, weights_N)


def sum_weighted(updates_NB: Float64, weights_N: Float64) -> Float64:
    """Return sum_n weights[n] * updates[n], added in row order on every machine."""
    total_B: Float64 = updates_NB[0] * weights_N[0]
    product_B = np.empty_like(total_B)
    for update_B, weight in zip(updates_NB[1:], weights_N[1:], strict=True):
        np.multiply(update_B, weight, out=product_B)
        total_B += product_B
    return total_B
