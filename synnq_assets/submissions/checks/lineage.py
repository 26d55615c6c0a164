"""The submission answers exactly this order, from its base checkpoint, on its shards, in its time.

Being late is no reason to refuse: time decay lowers the weight of what comes late, and the round
decides how stale is too stale. Impossible times are.
"""

import re
from datetime import timedelta
from typing import ClassVar

from synnq_assets.submissions.checks.base import Check, Outcome, decide
from synnq_assets.submissions.intake import Case

CLOCK_SKEW = timedelta(hours=1)
# PEP 440 without what could be prose: 0.1.0, 1.2.0rc1, 2.0.0.dev3
VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6}){1,3}((a|b|rc)[0-9]{1,3})?(\.(dev|post)[0-9]{1,5})?")


class LineageCheck(Check):
    """Compare every reference and time of the manifest with the order."""

    name: ClassVar[str] = "lineage"
    needs: ClassVar[tuple[str, ...]] = ("signature",)

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        order, submission = case.intake.order, case.submission
        expected = {
            "federation": order.federation,
            "round": order.round,
            "assignment_id": order.assignment_id,
            "node_id": order.node_id,
            "order_sha256": order.digest(),
            "base_checkpoint_sha256": order.base.checkpoint_sha256,
            "image_sha256": order.image_sha256 or submission.image_sha256,
        }
        problems = [
            f"{name} is not the order's, {str(value)[:60]}"
            for name, value in expected.items()
            if getattr(submission, name) != value
        ]
        if sorted(submission.shard_ids) != sorted(shard.shard_id for shard in order.shards):
            problems.append("shard_ids are not the order's shards")
        if not VERSION.fullmatch(submission.payload_version):
            problems.append("payload_version is not a version")
        late = case.intake.received_at - order.deadline_at
        return decide(
            [*problems, *_describe_times(case)],
            round=order.round,
            order_sha256=order.digest(),
            num_shards=len(order.shards),
            wall_seconds=(submission.finished_at - submission.started_at).total_seconds(),
            late_seconds=max(0.0, late.total_seconds()),
        )


def _describe_times(case: Case) -> list[str]:
    submission = case.submission
    problems = []
    if submission.started_at < case.intake.order.issued_at - CLOCK_SKEW:
        problems.append("training started before the order was issued")
    if submission.finished_at < submission.started_at:
        problems.append("training finished before it started")
    if submission.finished_at > case.intake.received_at + CLOCK_SKEW:
        problems.append("training finished after the submission was received")
    return problems
