"""What a round starts from, and when it may close."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from synnq_assets.errors import FederationError
from synnq_assets.federation.schedule import build_segment
from synnq_assets.records.base import now_at
from synnq_assets.records.federation import RoundBase
from synnq_assets.records.rounds import CheckpointRecord
from synnq_assets.settings import Settings


def build_round_base(
    settings: Settings,
    *,
    round_key: str,
    parent: CheckpointRecord,
    roster: Sequence[str],
    tokens_planned: int,
) -> RoundBase:
    """Return the record that opens a round.

    Args:
        settings: the resolved pair; its digest enters the record.
        round_key: the round to open.
        parent: the promoted checkpoint that it starts from.
        roster: nodes that may take part, frozen for the round.
        tokens_planned: trained tokens (with epochs) that the round is expected to add.

    Raises:
        FederationError: fewer nodes than the round's minimum.
    """
    rounds = settings.recipe.rounds
    if len(roster) < rounds.minimum:
        raise FederationError(
            f"{len(roster)} active nodes, but a round needs at least {rounds.minimum}"
        )
    opened_at = now_at()
    return RoundBase(
        federation=settings.recipe.federation,
        round=round_key,
        parent_round=parent.round,
        parent_checkpoint_sha256=parent.checkpoint.checkpoint_sha256,
        settings_sha256=settings.digest,
        roster=tuple(sorted(roster)),
        quorum=min(rounds.quorum, len(roster)),
        minimum=rounds.minimum,
        opened_at=opened_at,
        deadline_at=opened_at + timedelta(seconds=rounds.deadline_seconds),
        lr=build_segment(settings.recipe.schedule, parent.tokens_total, tokens_planned),
        tokens_before=parent.tokens_total,
    )


@dataclass(frozen=True)
class QuorumDecision:
    """Whether a round may be aggregated now, and why (not)."""

    is_ready: bool
    trigger: Literal["quorum", "complete", "deadline", "waiting", "short"]
    message: str


def decide_quorum(
    base: RoundBase, *, num_accepted: int, num_open: int, now: datetime
) -> QuorumDecision:
    """Decide whether to aggregate.

    Args:
        base: the round.
        num_accepted: accepted submissions of this round's orders.
        num_open: orders that may still bring a submission.
        now: UTC.
    """
    have = f"{num_accepted} accepted of quorum {base.quorum}, {num_open} still open"
    if num_accepted >= base.quorum:
        return QuorumDecision(True, "quorum", have)
    if num_open == 0 and num_accepted >= base.minimum:
        return QuorumDecision(True, "complete", f"{have}: nothing more can come")
    if now >= base.deadline_at:
        if num_accepted >= base.minimum:
            return QuorumDecision(True, "deadline", f"{have}: deadline passed")
        return QuorumDecision(False, "short", f"{have}: deadline passed below {base.minimum}")
    return QuorumDecision(False, "waiting", have)
