"""No element of the update is NaN or infinite."""

from typing import ClassVar

from synnq_assets.submissions.checks.base import Check, Outcome, passed, refused
from synnq_assets.submissions.intake import Case


class FiniteCheck(Check):
    """Stream every tensor in blocks."""

    name: ClassVar[str] = "finite"
    needs: ClassVar[tuple[str, ...]] = ("tensor_schema",)

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        figures = case.tensor_figures
        num_elements = sum(tensor.num_elements for tensor in figures.values())
        affected = {name: t.num_nonfinite for name, t in figures.items() if t.num_nonfinite}
        num_nonfinite = sum(affected.values())
        if affected:
            return refused(
                f"{num_nonfinite} of {num_elements} elements are NaN or infinite, first in "
                f"{next(iter(affected))}",
                num_elements=num_elements,
                num_nonfinite=num_nonfinite,
            )
        return passed(num_elements=num_elements, num_nonfinite=0)
