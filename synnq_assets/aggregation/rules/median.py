"""Coordinate-wise weighted median: the value that halves the weight.

Where the weight splits exactly in two, the middle of both values. Tolerates f bad submissions as
long as the f heaviest hold less than half of the weight; with equal weights that is n > 2f.
Pays for it with the honest information that a mean would use.
Source: Yin et al. 2018, arXiv:1803.01498.
"""

from typing import ClassVar

import numpy as np

from synnq_assets.aggregation.rules.base import Float64, Rule

ROUNDING = 1e-12  # sums of weights that differ by less are equal


class Median(Rule):
    """Take the middle of every coordinate."""

    name: ClassVar[str] = "median"

    def count_tolerated(self, weights_N: Float64) -> int:  # noqa: D102 - contract in the base
        heaviest = np.cumsum(np.sort(weights_N)[::-1])
        return int(np.sum(heaviest < 0.5 - ROUNDING))

    def combine(self, updates_NB: Float64, weights_N: Float64) -> Float64:  # noqa: D102
        order_NB = np.argsort(updates_NB, axis=0, kind="stable")
        values_NB = np.take_along_axis(updates_NB, order_NB, axis=0)
        below_NB = np.cumsum(weights_N[order_NB], axis=0)
        lower = np.argmax(below_NB >= 0.5 - ROUNDING, axis=0)[None]
        upper = np.argmax(below_NB > 0.5 + ROUNDING, axis=0)[None]
        below = np.take_along_axis(values_NB, lower, axis=0)[0]
        above = np.take_along_axis(values_NB, upper, axis=0)[0]
        middle: Float64 = 0.5 * (below + above)
        return middle
