"""Intake checks by name, in the order in which they run and appear in a verdict.

A new one takes a file here, a line in `CHECKS`, and its test.

A check runs only when those that it needs have passed, and is otherwise reported as not run; all
others run to their end, so that one look at a verdict shows everything that is wrong.

    signature ─┬─ agreement
               ├─ lineage
               └─ files ─┬─ tensor_profile ── tensor_schema ── finite ─┬─ norm
                         ├─ training_log ─┬─ curve                     ├─ step_bound
                         │                └─ privacy                   └─ probe
                         └─ diagnostics
    duplicate
"""

from synnq_assets.submissions.checks.agreement import AgreementCheck
from synnq_assets.submissions.checks.base import Check, Outcome
from synnq_assets.submissions.checks.curve import CurveCheck
from synnq_assets.submissions.checks.diagnostics import DiagnosticsCheck
from synnq_assets.submissions.checks.duplicate import DuplicateCheck
from synnq_assets.submissions.checks.files import FilesCheck
from synnq_assets.submissions.checks.finite import FiniteCheck
from synnq_assets.submissions.checks.lineage import LineageCheck
from synnq_assets.submissions.checks.norm import NormCheck
from synnq_assets.submissions.checks.privacy import PrivacyCheck
from synnq_assets.submissions.checks.probe import ProbeCheck
from synnq_assets.submissions.checks.signature import SignatureCheck
from synnq_assets.submissions.checks.step_bound import StepBoundCheck
from synnq_assets.submissions.checks.tensor_profile import TensorProfileCheck
from synnq_assets.submissions.checks.tensor_schema import TensorSchemaCheck
from synnq_assets.submissions.checks.training_log import TrainingLogCheck

CHECKS: dict[str, Check] = {
    check.name: check
    for check in (
        SignatureCheck(),
        AgreementCheck(),
        LineageCheck(),
        FilesCheck(),
        DuplicateCheck(),
        TensorProfileCheck(),
        TensorSchemaCheck(),
        FiniteCheck(),
        NormCheck(),
        TrainingLogCheck(),
        DiagnosticsCheck(),
        PrivacyCheck(),
        CurveCheck(),
        StepBoundCheck(),
        ProbeCheck(),
    )
}

__all__ = ["CHECKS", "Check", "Outcome"]
