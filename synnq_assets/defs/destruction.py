"""Shards that were destroyed, and nodes that have not certified it in time."""

from collections.abc import Iterable
from datetime import datetime

import dagster as dg

from synnq_assets.defs.recording import render_table
from synnq_assets.defs.resources import HomeResource
from synnq_assets.errors import SynnqError
from synnq_assets.federation import Registry
from synnq_assets.federation.destruction import (
    OverdueAssignment,
    describe_overdue,
    list_certificates,
    list_overdue,
)
from synnq_assets.records.base import now_at
from synnq_assets.records.destruction import OverdueDestruction
from synnq_assets.records.federation import ParticipationAgreement
from synnq_assets.records.shards import ShardManifest
from synnq_assets.trust import Home
from synnq_assets.trust.ledger import leave_out

OVERDUE_PREFIX = "registry/overdue"


def select_destroyed(opened: Home, manifests: Iterable[ShardManifest]) -> frozenset[str]:
    """Return the ids of those shards whose data key was destroyed."""
    ids = (manifest.shard_id for manifest in manifests)
    return frozenset(filter(opened.campaign.is_destroyed, ids))


def find_overdue(
    opened: Home, *, now: datetime | None = None
) -> tuple[list[OverdueAssignment], dict[str, str]]:
    """Return the overdue orders, and node -> why it gets no further order.

    A node whose agreement cannot be read gets none either: nobody knows what it is bound to.
    """
    registry, campaign = Registry(opened.ledger), opened.campaign
    agreements: dict[str, ParticipationAgreement] = {}
    blocked = {}
    for node in registry.list_nodes(skip=leave_out):  # `round_base` reports them
        try:
            agreements[node.agreement_sha256] = registry.get_agreement(node)
        except SynnqError as error:
            blocked[node.node_id] = str(error)
    orders = [
        order
        for round_key in campaign.list_rounds()
        for order in campaign.list_orders(round_key, skip=leave_out)
    ]
    overdue = list_overdue(
        orders,
        agreements,
        list_certificates(registry),
        now or now_at(),
        ended_at=find_end(opened),
    )
    return overdue, describe_overdue(overdue) | blocked


def find_end(opened: Home) -> datetime | None:
    """Return when the campaign ended: when the last of its rounds was judged."""
    rounds = opened.campaign.list_rounds()
    if len(rounds) < opened.settings.recipe.rounds.num_rounds:
        return None
    evaluation = opened.campaign.find_evaluation(rounds[-1])
    return evaluation.evaluated_at if evaluation else None


def block_overdue(opened: Home, *, now: datetime | None = None) -> dict[str, str]:
    """Return node -> why it gets no further order; note each overdue order once, in the log."""
    overdue, blocked = find_overdue(opened, now=now)
    for item in overdue:
        key = f"{OVERDUE_PREFIX}/{item.assignment_id}.json"
        if opened.store.has(key):
            continue
        position = opened.audit.log_event(
            "destruction_overdue",
            item.assignment_id,
            actor="coordinator",
            due_at=item.due_at.isoformat(),
            shards=len(item.shard_ids),
        )
        record = OverdueDestruction(
            assignment_id=item.assignment_id,
            node_id=item.node_id,
            due_at=item.due_at,
            audit_index=position,
        )
        opened.ledger.put(key, record, opened.coordinator)
    return blocked


@dg.asset_check(asset="node_profiles")
def destruction_due(
    context: dg.AssetCheckExecutionContext, home: HomeResource
) -> dg.AssetCheckResult:
    """Every node has certified in time that it destroyed what it had to."""
    opened = home.open()
    overdue, blocked = find_overdue(opened)
    rows = [(o.node_id, o.assignment_id, o.due_at.isoformat(), len(o.shard_ids)) for o in overdue]
    return dg.AssetCheckResult(
        passed=not blocked,
        metadata={
            "blocked": render_table(("node", "why"), blocked.items()),
            "overdue": render_table(("node", "order", "due", "shards"), rows),
        },
    )
