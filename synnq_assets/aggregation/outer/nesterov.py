"""Nesterov momentum over rounds.

    m <- mu * m + g
    theta <- theta + lr * (g + mu * m)

with g the combined update (local - base), that is the negative outer gradient of the paper. The
momentum starts at zero and travels with the checkpoint.

Source: Douillard et al. 2023 (DiLoCo), arXiv:2311.08105; the form of Sutskever et al. 2013 that
torch.optim.SGD(nesterov=True) computes.
"""

from typing import Annotated, ClassVar

from pydantic import Field, PositiveFloat

from synnq_assets.aggregation.outer.base import Float64, OuterOptimizer


class Nesterov(OuterOptimizer):
    """Defaults are DiLoCo's."""

    name: ClassVar[str] = "nesterov"
    has_state: ClassVar[bool] = True
    learning_rate: PositiveFloat = 0.7
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9

    def step(  # noqa: D102 - contract in the base
        self, weights_B: Float64, momentum_B: Float64, update_B: Float64
    ) -> tuple[Float64, Float64]:
        momentum_B = self.momentum * momentum_B + update_B
        return weights_B + self.learning_rate * (update_B + self.momentum * momentum_B), momentum_B
