"""Plain averaging: theta <- theta + lr * g. Keeps no state.

Source: McMahan et al. 2017 (FedAvg), arXiv:1602.05629, at learning rate 1.
"""

from typing import ClassVar

from pydantic import PositiveFloat

from synnq_assets.aggregation.outer.base import Float64, OuterOptimizer


class Average(OuterOptimizer):
    """Move by the combined update, times a learning rate."""

    name: ClassVar[str] = "average"
    has_state: ClassVar[bool] = False
    learning_rate: PositiveFloat = 1.0

    def step(  # noqa: D102 - contract in the base
        self, weights_B: Float64, momentum_B: Float64, update_B: Float64
    ) -> tuple[Float64, Float64]:
        return weights_B + self.learning_rate * update_B, momentum_B
