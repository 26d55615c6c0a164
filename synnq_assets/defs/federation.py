"""Nodes, round bases, allocations with their orders."""

import dagster as dg

from synnq_assets.defs.partitions import rounds
from synnq_assets.defs.recording import build_result, recorded, render_table
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.shards import tokenizer_sha256
from synnq_assets.errors import FederationError
from synnq_assets.federation import (
    AllocationRequest,
    OrderTerms,
    Registry,
    allocate_shards,
    build_order,
    build_round_base,
    find_obstacle,
)
from synnq_assets.federation.orders import build_wrap_context
from synnq_assets.modeling.architectures import count_weights
from synnq_assets.records.base import canonical_json, sha256_hex
from synnq_assets.records.federation import Allocation, NodeProfile, RoundBase
from synnq_assets.records.identifiers import build_assignment_id
from synnq_assets.records.orders import Order
from synnq_assets.shards import rewrap_data_key
from synnq_assets.trust import Home

GROUP = "federation"


@dg.asset(group_name=GROUP, code_version="1")
def node_profiles(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """The enrolled nodes, what they can do, and whether they can train this recipe."""
    opened = home.open()
    recipe = opened.settings.recipe
    with recorded(context, opened, "node_profiles") as deed:
        nodes = Registry(opened.ledger).list_nodes()
        sha256 = sha256_hex(canonical_json([node.model_dump(mode="json") for node in nodes]))
        deed.details.update(sha256=sha256, nodes=[node.node_id for node in nodes])
    rows = [
        (
            node.node_id,
            node.organisation,
            node.status,
            node.profile.accelerator,
            node.profile.memory_gib,
            node.profile.tokens_per_second,
            node.profile.power_watts,
            find_obstacle(node.profile, recipe, count_weights(recipe)) or "can train",
        )
        for node in nodes
    ]
    columns = ("node", "organisation", "status", "accelerator", "GiB", "tokens/s", "W", "recipe")
    return build_result(
        deed,
        sha256=sha256,
        metadata={"dagster/row_count": len(nodes), "nodes": render_table(columns, rows)},
    )


@dg.asset(partitions_def=rounds, group_name=GROUP, code_version="1")
def round_base(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """What a round starts from: the promoted parent, roster, quorum, deadline, learning rates."""
    opened = home.open()
    campaign, recipe = opened.campaign, opened.settings.recipe
    round_key = context.partition_key
    with recorded(context, opened, "round_base", round_key) as deed:
        base = campaign.find_base(round_key)
        if base is None:
            parent = campaign.find_promoted()
            if parent is None:
                raise FederationError("there is no promoted checkpoint to start a round from")
            campaign.get_chain(parent.round)
            roster = [
                n.node_id for n in Registry(opened.ledger).list_nodes() if n.status == "active"
            ]
            capacity = len(roster) * recipe.rounds.max_shards_per_node
            shards = sorted(campaign.list_manifests(), key=lambda m: -m.num_tokens)[:capacity]
            base = build_round_base(
                opened.settings,
                round_key=round_key,
                parent=parent,
                roster=roster,
                tokens_planned=sum(m.num_tokens for m in shards) * recipe.training.epochs,
            )
            campaign.put_base(base, opened.coordinator)
        deed.details.update(sha256=base.digest(), parent=base.parent_checkpoint_sha256)
    return build_result(
        deed,
        sha256=base.digest(),
        metadata={
            "parent round": base.parent_round,
            "parent checkpoint": base.parent_checkpoint_sha256,
            "roster": ", ".join(base.roster),
            "quorum": base.quorum,
            "deadline": dg.MetadataValue.timestamp(base.deadline_at),
            "learning rates": render_table(
                ("share of the order", "learning rate"),
                zip(base.lr.fractions, base.lr.learning_rates, strict=True),
            ),
        },
    )


@dg.asset_check(asset=round_base, partitions_def=rounds)
def chain_continuous(
    context: dg.AssetCheckExecutionContext, home: HomeResource
) -> dg.AssetCheckResult:
    """The chain of parents is unbroken from the initial checkpoint to this round's base."""
    campaign = home.open().campaign
    base = campaign.find_base(context.partition_key)
    if base is None:
        return dg.AssetCheckResult(passed=False, description="the round was not opened")
    try:
        chain = campaign.get_chain(base.parent_round)
    except FederationError as error:
        return dg.AssetCheckResult(passed=False, description=str(error))
    is_same = chain[-1].checkpoint.checkpoint_sha256 == base.parent_checkpoint_sha256
    rows = [(r.round, r.checkpoint.checkpoint_sha256[:16], r.tokens_total) for r in chain]
    return dg.AssetCheckResult(
        passed=is_same,
        metadata={"chain": render_table(("round", "checkpoint", "tokens"), rows)},
    )


def issue_orders(
    opened: Home, base: RoundBase, allocation: Allocation, *, attempts: dict[str, int]
) -> list[Order]:
    """Sign one order per allocated node; an order that stands already is kept."""
    campaign = opened.campaign
    parent = campaign.find_checkpoint(base.parent_round)
    if parent is None:
        raise FederationError(f"the parent of {base.round} has no record")
    terms = OrderTerms(
        settings=opened.settings,
        base=base,
        checkpoint=parent.checkpoint,
        tokenizer_sha256=tokenizer_sha256(opened),
    )
    manifests = {manifest.shard_id: manifest for manifest in campaign.list_manifests()}
    held = {order.assignment_id: order for order in campaign.list_orders(base.round)}
    orders = []
    for row in allocation.nodes:
        if not row.shard_ids:
            continue
        attempt = attempts.get(row.node_id, 1)
        assignment_id = build_assignment_id(base.round, row.node_id, attempt)
        if assignment_id not in held:
            node = Registry(opened.ledger).get(row.node_id)
            context = (base.federation, assignment_id, row.node_id)
            order = build_order(
                terms,
                node,
                attempt=attempt,
                shards=[manifests[shard_id] for shard_id in row.shard_ids],
                wrapped_keys={
                    shard_id: rewrap_data_key(
                        opened.store,
                        shard_id,
                        opened.steward_sealing,
                        node_public_key=node.sealing_public_key,
                        context=build_wrap_context(*context, shard_id),
                    )
                    for shard_id in row.shard_ids
                },
            )
            campaign.put_order(order, opened.coordinator)
            held[assignment_id] = order
        orders.append(held[assignment_id])
    return orders


@dg.asset(
    partitions_def=rounds, deps=["round_base", "signed_shards", "node_profiles"], group_name=GROUP
)
def shard_allocation(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """Shards to nodes as one optimisation, and one signed order per node."""
    opened = home.open()
    campaign = opened.campaign
    base = campaign.find_base(context.partition_key)
    if base is None:
        raise FederationError(f"round {context.partition_key} was not opened; run round_base")
    with recorded(context, opened, "shard_allocation", base.round) as deed:
        allocation = campaign.find_allocation(base.round)
        if allocation is None:
            allocation = allocate_shards(
                AllocationRequest(
                    round_key=base.round,
                    recipe=opened.settings.recipe,
                    num_parameters=count_weights(opened.settings.recipe),
                    nodes=select_profiles(opened, base.roster),
                    shards=campaign.list_manifests(),
                    exposure=campaign.list_exposure(),
                    times_trained=campaign.count_trainings(),
                )
            )
            orders = issue_orders(opened, base, allocation, attempts={})
            campaign.put_allocation(allocation, opened.coordinator)
        else:
            orders = issue_orders(opened, base, allocation, attempts={})
        deed.details.update(
            sha256=allocation.digest(), orders=[order.assignment_id for order in orders]
        )
    rows = [
        (n.node_id, len(n.shard_ids), n.num_tokens, n.expected_seconds, n.expected_joules)
        for n in allocation.nodes
    ]
    return build_result(
        deed,
        sha256=allocation.digest(),
        metadata={
            "orders": len(orders),
            "nodes": render_table(("node", "shards", "tokens", "expected s", "expected J"), rows),
            "excluded": render_table(("node", "why"), allocation.excluded.items()),
            "slowest node (s)": allocation.makespan_seconds,
            "solver": allocation.solver,
        },
    )


def select_profiles(opened: Home, roster: tuple[str, ...]) -> list[NodeProfile]:
    """Return the profiles of the active nodes of a roster."""
    nodes = Registry(opened.ledger).list_nodes()
    return [n.profile for n in nodes if n.node_id in roster and n.status == "active"]
