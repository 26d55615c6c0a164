"""The diagnostics hold the expected figures and nothing else."""

from typing import ClassVar

import numpy as np

from synnq_assets.submissions.arrival import DIAGNOSTICS_FILE
from synnq_assets.submissions.checks.base import Check, Outcome, decide
from synnq_assets.submissions.intake import Case
from synnq_assets.submissions.logs import read_diagnostics


class DiagnosticsCheck(Check):
    """Read the Parquet file; samples that a machine does not offer may be absent."""

    name: ClassVar[str] = "diagnostics"
    needs: ClassVar[tuple[str, ...]] = ("files",)

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        samples = read_diagnostics(case.path(DIAGNOSTICS_FILE))
        seconds, watts = samples["seconds"], samples["gpu_watts"]
        watts = watts[np.isfinite(watts)]
        problems = ["times do not ascend"] if (np.diff(seconds) < 0).any() else []
        return decide(
            problems,
            num_samples=len(seconds),
            mean_gpu_watts=float(watts.mean()) if len(watts) else "not offered",
        )
