"""The node is active, and answers under the agreement that it signed and the order names."""

from typing import ClassVar

from synnq_assets.submissions.checks.base import Check, Outcome, decide
from synnq_assets.submissions.intake import Case


class AgreementCheck(Check):
    """Compare submission, order and node record."""

    name: ClassVar[str] = "agreement"
    needs: ClassVar[tuple[str, ...]] = ("signature",)

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        node, order = case.intake.node, case.intake.order
        problems = []
        if node.status != "active":
            problems.append(f"node {node.node_id} is {node.status}")
        if case.submission.agreement_sha256 != order.agreement_sha256:
            problems.append("submitted under another agreement than the order's")
        if node.agreement_sha256 != order.agreement_sha256:
            problems.append("the node's agreement has changed since the order was issued")
        return decide(problems, status=node.status, agreement_sha256=order.agreement_sha256)
