"""The manifest is signed by the node's own key, in the role "node".

Source: DSSE v1.0 and in-toto Statement v1 (see trust/envelopes.py).
"""

from typing import ClassVar

from synnq_assets.submissions.checks.base import Check, Outcome, passed
from synnq_assets.submissions.intake import Case


class SignatureCheck(Check):
    """Verify the envelope's bytes as received."""

    name: ClassVar[str] = "signature"

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        _ = case.submission  # opened and verified; what it says of itself is for other checks
        return passed(node=case.intake.node.node_id, submission_sha256=case.submission_sha256)
