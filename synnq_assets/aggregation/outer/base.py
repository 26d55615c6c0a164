"""The contract of an outer optimiser: weights, momentum and the combined update of a round.

An update points from the base to the nodes' weights (it is added), so it plays the part of the
negative gradient. State is one tensor per parameter and part of the checkpoint.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from synnq_assets.settings.base import SettingsModel

Float64 = npt.NDArray[np.float64]


class OuterOptimizer(SettingsModel, ABC):
    """An optimiser by name; its fields are its parameters."""

    name: ClassVar[str]
    has_state: ClassVar[bool]

    @abstractmethod
    def step(
        self, weights_B: Float64, momentum_B: Float64, update_B: Float64
    ) -> tuple[Float64, Float64]:
        """Return (weights, momentum) after the round.

        Shapes: three times [B] float64 -> twice [B] float64; nothing is changed in place.
        """
