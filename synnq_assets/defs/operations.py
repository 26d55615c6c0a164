"""What is done to a round under way: lost shards go to another node; a job is cancelled."""

import dagster as dg

from synnq_assets.compute import build_backend
from synnq_assets.defs.assignments import find_assignment
from synnq_assets.defs.federation import issue_orders, select_profiles
from synnq_assets.defs.partitions import round_site
from synnq_assets.defs.recording import build_result, read_tag, recorded, render_table
from synnq_assets.defs.resources import HomeResource
from synnq_assets.errors import AllocationError, FederationError, OrderError
from synnq_assets.federation import AllocationRequest, allocate_shards
from synnq_assets.modeling.architectures import count_weights
from synnq_assets.records.base import now_at
from synnq_assets.records.federation import Reassignment
from synnq_assets.records.orders import Order
from synnq_assets.trust import Home


def reassign(opened: Home, lost: Order, reason: str) -> Reassignment:
    """Issue orders for a lost order's shards to nodes that never had them, and write it down."""
    campaign = opened.campaign
    base = campaign.find_base(lost.round)
    if base is None:
        raise FederationError(f"round {lost.round} was not opened")
    dropped = {
        order.node_id
        for order in campaign.list_orders(lost.round)
        if order.assignment_id == lost.assignment_id or campaign.find_loss(order.assignment_id)
    }
    wanted = {shard.shard_id for shard in lost.shards}
    alive = tuple(node for node in base.roster if node not in dropped)
    try:
        allocation = allocate_shards(
            AllocationRequest(
                round_key=lost.round,
                recipe=opened.settings.recipe,
                num_parameters=count_weights(opened.settings.recipe),
                nodes=select_profiles(opened, alive),
                shards=[m for m in campaign.list_manifests() if m.shard_id in wanted],
                exposure=campaign.list_exposure(),
                must_place=True,
            )
        )
        attempts = {node: campaign.next_attempt(lost.round, node) for node in alive}
        orders = issue_orders(opened, base, allocation, attempts=attempts)
    except AllocationError as error:
        orders, reason = [], f"{reason}; not reassigned: {error}"
    loss = Reassignment(
        lost=lost.assignment_id,
        replacements=tuple(order.assignment_id for order in orders),
        reason=reason[:500],
        decided_at=now_at(),
    )
    campaign.put_loss(loss, opened.coordinator)
    return loss


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
        loss = opened.campaign.find_loss(lost.assignment_id)
        if loss is None:
            handle = opened.campaign.find_handle(lost.assignment_id)
            if handle is not None:
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


@dg.job
def cancel_training_job() -> None:
    """Cancel one training job; its shards are reassigned."""
    cancel_job()
