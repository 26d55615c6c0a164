"""Coordinate-wise trimmed mean: drop the extremes of every coordinate, average the rest.

With f = floor(trim_share * n), the f lowest and the f highest values go; what remains keeps its
weights, renormalised. Any value that remains lies between two honest ones when at most f
submissions are bad, and n > 2f holds because trim_share is below one half. No defence against a
small bias that all bad submissions share.

Where trim_share * n is below one (n <= 4 at the default of 0.2) nothing is trimmed, and the rule
is the weighted mean: few submissions hold no majority to trust. Set `max_faulty` to refuse such
rounds instead.

Source: Yin et al. 2018, arXiv:1803.01498.
"""

import math
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from synnq_assets.aggregation.rules.base import Float64, Rule
from synnq_assets.aggregation.rules.mean import sum_weighted


class TrimmedMean(Rule):
    """Drop `trim_share` of the submissions at either end of every coordinate."""

    name: ClassVar[str] = "trimmed-mean"
    trim_share: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.2

    def count_tolerated(self, weights_N: Float64) -> int:  # noqa: D102 - contract in the base
        return math.floor(self.trim_share * len(weights_N) + 1e-9)  # 0.29 * 100 is 28.999…

    def combine(self, updates_NB: Float64, weights_N: Float64) -> Float64:  # noqa: D102
        trim = self.count_tolerated(weights_N)
        if trim == 0:
            return sum_weighted(updates_NB, weights_N)
        order_NB = np.argsort(updates_NB, axis=0, kind="stable")  # equal values by row order
        kept = order_NB[trim : len(weights_N) - trim]
        values = np.take_along_axis(updates_NB, kept, axis=0)
        weights = weights_N[kept]
        total: Float64 = np.sum(values * weights, axis=0) / np.sum(weights, axis=0)
        return total
