"""What is done to a round under way: shards handed on, a job cancelled, the registry refreshed."""

from pathlib import Path

import dagster as dg

from synnq_assets.compute import build_backend, stage_registry
from synnq_assets.defs.assignments import find_assignment
from synnq_assets.defs.destruction import block_overdue, select_destroyed
from synnq_assets.defs.federation import ALLOCATION_LOCK, issue_orders, select_profiles
from synnq_assets.defs.partitions import round_site
from synnq_assets.defs.recording import (
    build_result,
    log_skipped,
    read_tag,
    recorded,
    render_table,
)
from synnq_assets.defs.resources import HomeResource
from synnq_assets.errors import AllocationError, FederationError, OrderError
from synnq_assets.federation import AllocationRequest, allocate_shards
from synnq_assets.modeling.architectures import count_weights
from synnq_assets.records.base import now_at, sha256_hex
from synnq_assets.records.federation import Reassignment, RoundBase
from synnq_assets.records.identifiers import build_assignment_id, parse_assignment_id
from synnq_assets.records.orders import Order
from synnq_assets.trust import Home
from synnq_assets.trust.registry import publishing


def reassign(opened: Home, lost: Order, reason: str) -> Reassignment:
    """Hand a lost order's shards to nodes that never had them: first the record, then the orders.

    Run again, it issues the orders that are missing. Losses decide one after the other, so that
    each sees what the others gave away.

    Raises:
        OrderError: the order was answered in the meantime, or a replacement cannot be issued.
    """
    campaign = opened.campaign
    base = campaign.find_base(lost.round)
    if base is None:
        raise FederationError(f"round {lost.round} was not opened")
    with opened.lock(ALLOCATION_LOCK):
        loss = campaign.find_loss(lost.assignment_id)
        if loss is None:
            if campaign.find_verdict(lost.assignment_id):
                raise OrderError(f"{lost.assignment_id} was answered; there is nothing to reassign")
            loss = _decide_loss(opened, base, lost, reason)
            campaign.put_loss(loss, opened.coordinator)
        issue_orders(opened, base, loss.replacements)
    return loss


def _decide_loss(opened: Home, base: RoundBase, lost: Order, reason: str) -> Reassignment:
    replacements = {}
    try:
        replacements = _find_replacements(opened, base, lost)
    except AllocationError as error:
        reason = f"{reason}; not reassigned: {error}"
    return Reassignment(
        lost=lost.assignment_id,
        replacements=replacements,
        reason=reason[:500],
        decided_at=now_at(),
    )


def _find_replacements(opened: Home, base: RoundBase, lost: Order) -> dict[str, tuple[str, ...]]:
    campaign, recipe = opened.campaign, opened.settings.recipe
    if now_at() >= base.deadline_at:  # payloads would refuse: do not show the shards to more nodes
        raise AllocationError("the round's deadline has passed")
    dropped = {parse_assignment_id(loss.lost)[1] for loss in campaign.list_losses(lost.round)}
    alive = set(base.roster) - dropped - {lost.node_id}
    manifests = [campaign.get_manifest(shard.shard_id) for shard in lost.shards]
    allocation = allocate_shards(
        AllocationRequest(
            round_key=lost.round,
            recipe=recipe,
            num_parameters=count_weights(recipe),
            nodes=select_profiles(opened, alive),
            shards=manifests,
            exposure=campaign.list_exposure(),
            blocked=block_overdue(opened),
            destroyed=select_destroyed(opened, manifests),
            must_place=True,
        )
    )
    attempts = {node: campaign.next_attempt(lost.round, node) for node in alive}
    return {
        build_assignment_id(lost.round, row.node_id, attempts[row.node_id]): row.shard_ids
        for row in allocation.nodes
        if row.shard_ids
    }


@dg.asset(
    partitions_def=round_site, deps=["training_job"], group_name="federation", pool="reassign"
)
def shard_reassignment(
    context: dg.AssetExecutionContext, home: HomeResource
) -> dg.MaterializeResult:
    """The shards of a node that dropped out of a round, and who trains them instead."""
    opened = home.open()
    lost = find_assignment(opened, context.partition_key, read_tag(context, "assignment"))
    reason = read_tag(context, "reason") or "reassigned by an operator"
    with recorded(context, opened, "shard_reassignment", lost.assignment_id) as deed:
        handle = opened.campaign.find_handle(lost.assignment_id)
        if handle is not None and opened.campaign.is_open(lost.assignment_id):
            build_backend(opened.settings.profile).cancel(handle)
        loss = reassign(opened, lost, reason)
        deed.details.update(sha256=loss.digest(), replacements=list(loss.replacements))
    rows = [(shard.shard_id[:12], shard.cell, shard.num_tokens) for shard in lost.shards]
    return build_result(
        deed,
        sha256=loss.digest(),
        metadata={
            "lost": loss.lost,
            "reason": loss.reason,
            "replacements": ", ".join(loss.replacements) or "none",
            "shards": render_table(("shard", "cell", "tokens"), rows),
        },
    )


class CancelConfig(dg.Config):
    """Which job to cancel."""

    assignment_id: str


@dg.op
def cancel_job(context: dg.OpExecutionContext, home: HomeResource, config: CancelConfig) -> None:
    """Ask the node's scheduler to end a job: terminating a run cannot reach a detached one."""
    opened = home.open()
    handle = opened.campaign.find_handle(config.assignment_id)
    if handle is None:
        raise OrderError(f"{config.assignment_id} has no job; see the training_job asset")
    with recorded(context, opened, "cancel_training_job", config.assignment_id):
        build_backend(opened.settings.profile).cancel(handle)


@dg.op
def publish_registry(context: dg.OpExecutionContext, home: HomeResource) -> None:
    """Publish the node registry anew, and bring it to the jobs that still wait or run."""
    opened = home.open()
    with recorded(context, opened, "publish_registry", "registry") as deed:
        files = publishing.render_registry(opened, with_targets=False)
        deed.details.update(timestamp=sha256_hex(files["metadata/timestamp.json"]))
        for round_key in opened.campaign.list_rounds():
            for order in opened.campaign.iter_open_orders(round_key, skip=log_skipped(context)):
                handle = opened.campaign.find_handle(order.assignment_id)
                if handle is not None and Path(handle.job_dir).is_dir():
                    stage_registry(Path(handle.job_dir), files)


@dg.job
def refresh_registry() -> None:
    """Publish the node registry before what was published expires."""
    publish_registry()


@dg.job
def cancel_training_job() -> None:
    """Cancel one training job; its shards are reassigned."""
    cancel_job()
