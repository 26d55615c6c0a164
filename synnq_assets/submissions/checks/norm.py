"""The update is not zero: a node that sends zeros wants its share without the work.

Neither is it zero but for subnormal figures, which no optimizer step leaves behind.
"""

import math
from typing import ClassVar

from synnq_assets.submissions.checks.base import Check, Outcome, passed, refused
from synnq_assets.submissions.intake import Case

SMALLEST_NORMAL = 2.0**-126  # of bf16 and of float32


class NormCheck(Check):
    """Measure the update as a whole."""

    name: ClassVar[str] = "norm"
    needs: ClassVar[tuple[str, ...]] = ("finite",)

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        tensors = case.tensor_figures.values()
        norm = math.sqrt(math.fsum(tensor.sum_squares for tensor in tensors))
        num_zero = sum(tensor.num_zero for tensor in tensors)
        zero_share = num_zero / sum(tensor.num_elements for tensor in tensors)
        largest = max(tensor.max_magnitude for tensor in tensors)
        if norm == 0:
            return refused("the update is zero everywhere: nothing was trained", update_norm=norm)
        if largest < SMALLEST_NORMAL:
            return refused(
                "the update is zero but for subnormal figures: nothing was trained",
                update_norm=norm,
                max_magnitude=largest,
            )
        return passed(update_norm=norm, zero_share=zero_share, max_magnitude=largest)
