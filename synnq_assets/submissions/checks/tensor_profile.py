"""The update is safetensors under the strict profile: nothing repeated, hidden, cut or appended.

Source: storage/tensors.py, which states the profile.
"""

from typing import ClassVar

from synnq_assets.submissions.checks.base import Check, Outcome, passed
from synnq_assets.submissions.intake import Case


class TensorProfileCheck(Check):
    """Parse the header alone."""

    name: ClassVar[str] = "tensor_profile"
    needs: ClassVar[tuple[str, ...]] = ("files",)

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        with case.open_update() as file:
            return passed(num_tensors=len(file.tensors))
