"""The contract of a robust rule: many updates of one block in, one update out.

A rule sees one coordinate at a time: the block's borders never change its result. It gets updates
in canonical order, weights that sum to one and are all above zero.

Shapes: N submissions, B elements.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeInt

from synnq_assets.errors import AggregationError
from synnq_assets.settings.base import SettingsModel

Float64 = npt.NDArray[np.float64]


class Rule(SettingsModel, ABC):
    """A rule by name; its fields are its parameters.

    Attributes:
        max_faulty: bad submissions that a round must withstand; a round in which the rule cannot
            promise this is refused.
    """

    name: ClassVar[str]
    max_faulty: NonNegativeInt = 0

    @abstractmethod
    def count_tolerated(self, weights_N: Float64) -> int:
        """Return how many bad submissions, whichever they are, cannot carry the result away."""

    @abstractmethod
    def combine(self, updates_NB: Float64, weights_N: Float64) -> Float64:
        """Return the combined update.

        Shapes: updates_NB [N, B] float64, weights_N [N] float64 -> [B] float64.
        """

    def verify_condition(self, weights_N: Float64) -> None:
        """Check that this round has submissions enough for the promise in the recipe.

        Raises:
            AggregationError: `max_faulty` is more than the rule tolerates with these weights.
        """
        tolerated = self.count_tolerated(weights_N)
        if tolerated < self.max_faulty:
            raise AggregationError(
                f"rule {self.name} tolerates {tolerated} bad of {len(weights_N)} submissions, but "
                f"the recipe asks for {self.max_faulty}; wait for more submissions or lower "
                "max_faulty"
            )
