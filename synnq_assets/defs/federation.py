"""Nodes, round bases, allocations with their orders."""

from collections.abc import Iterable, Mapping

import dagster as dg

from synnq_assets.defs.destruction import block_overdue, select_destroyed
from synnq_assets.defs.partitions import rounds
from synnq_assets.defs.recording import build_result, log_skipped, recorded, render_table
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.sealed import seal_shards_for
from synnq_assets.defs.shards import tokenizer_sha256
from synnq_assets.errors import FederationError, OrderError, SynnqError
from synnq_assets.federation import (
    AllocationRequest,
    OrderTerms,
    Registry,
    allocate_shards,
    build_order,
    build_round_base,
    find_obstacle,
)
from synnq_assets.modeling.architectures import count_weights
from synnq_assets.records.base import canonical_json, sha256_hex
from synnq_assets.records.federation import Allocation, NodeProfile, NodeRecord, RoundBase
from synnq_assets.records.identifiers import parse_assignment_id
from synnq_assets.records.orders import Order
from synnq_assets.shards import forget_data_keys
from synnq_assets.trust import Home
from synnq_assets.trust.ledger import leave_out

GROUP = "federation"
ALLOCATION_LOCK = "allocation"  # held from reading who had which shard to issuing the last order


@dg.asset(group_name=GROUP, code_version="1")
def node_profiles(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """The enrolled nodes, what they can do, and whether they can train this recipe.

    What they call themselves stays in the registry: `synnq nodes list`.
    """
    opened = home.open()
    recipe = opened.settings.recipe
    with recorded(context, opened, "node_profiles") as deed:
        nodes = Registry(opened.ledger).list_nodes(skip=log_skipped(context))
        blocked = block_overdue(opened)
        sha256 = sha256_hex(canonical_json([node.model_dump(mode="json") for node in nodes]))
        deed.details.update(sha256=sha256, nodes=[node.node_id for node in nodes])
    rows = [
        (
            node.node_id,
            node.status,
            node.profile.accelerator,
            node.profile.memory_gib,
            node.profile.tokens_per_second,
            node.profile.power_watts,
            find_obstacle(node.profile, recipe, count_weights(recipe)) or "can train",
            blocked.get(node.node_id, "-"),
        )
        for node in nodes
    ]
    columns = ("node", "status", "accelerator", "GiB", "tokens/s", "W", "recipe", "blocked")
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
            nodes = Registry(opened.ledger).list_nodes(skip=log_skipped(context))
            roster = [node.node_id for node in nodes if node.status == "active"]
            capacity = len(roster) * recipe.rounds.max_shards_per_node
            manifests = campaign.list_manifests()
            destroyed = select_destroyed(opened, manifests)
            sound = [m for m in manifests if m.shard_id not in destroyed]
            shards = sorted(sound, key=lambda m: -m.num_tokens)[:capacity]
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


def list_unissued(opened: Home, promises: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return those promised assignments whose order is still to be issued.

    A node that is no longer active gets no order, and nobody one of destroyed shards alone, so none
    is waited for.
    """
    active = {node.node_id for node in _list_active(opened)}
    return [
        assignment_id
        for assignment_id, shard_ids in promises.items()
        if not opened.campaign.has_order(assignment_id)
        and parse_assignment_id(assignment_id)[1] in active
        and not all(map(opened.campaign.is_destroyed, shard_ids))
    ]


def _list_active(opened: Home) -> list[NodeRecord]:
    nodes = Registry(opened.ledger).list_nodes(skip=leave_out)  # `round_base` reports them
    return [node for node in nodes if node.status == "active"]


def issue_orders(opened: Home, base: RoundBase, promises: Mapping[str, tuple[str, ...]]) -> None:
    """Sign the orders that follow from an allocation or a reassignment.

    An order that stands already is kept, so this may be run again after any crash. The caller holds
    `ALLOCATION_LOCK`.

    Args:
        opened: the coordinator's home.
        base: the round.
        promises: assignment id -> shard ids, as the signed record says.

    Raises:
        OrderError: some order could not be issued; the others were.
    """
    parent = opened.campaign.find_checkpoint(base.parent_round)
    if parent is None:
        raise FederationError(f"the parent of {base.round} has no record")
    terms = OrderTerms(
        settings=opened.settings,
        base=base,
        checkpoint=parent.checkpoint,
        tokenizer_sha256=tokenizer_sha256(opened),
    )
    problems = []
    for assignment_id in list_unissued(opened, promises):
        try:
            order = _prepare_order(opened, terms, assignment_id, promises[assignment_id])
            opened.campaign.put_order(order, opened.coordinator)
            forget_data_keys(opened.store, assignment_id)
        except SynnqError as error:
            problems.append(f"{assignment_id}: {error}")
    if problems:
        raise OrderError(f"orders not issued: {'; '.join(problems)}")


def _prepare_order(
    opened: Home, terms: OrderTerms, assignment_id: str, shard_ids: tuple[str, ...]
) -> Order:
    _, node_id, attempt = parse_assignment_id(assignment_id)
    node = Registry(opened.ledger).get(node_id)
    shards = seal_shards_for(opened, node, assignment_id, shard_ids)
    return build_order(terms, node, attempt=attempt, shards=shards)


def decide_allocation(opened: Home, base: RoundBase) -> Allocation:
    """Return a round's allocation: as it was written down, or decided and written down now.

    The caller holds `ALLOCATION_LOCK`.
    """
    campaign, recipe = opened.campaign, opened.settings.recipe
    allocation = campaign.find_allocation(base.round)
    if allocation is None:
        manifests = campaign.list_manifests()
        allocation = allocate_shards(
            AllocationRequest(
                round_key=base.round,
                recipe=recipe,
                num_parameters=count_weights(recipe),
                nodes=select_profiles(opened, base.roster),
                shards=manifests,
                exposure=campaign.list_exposure(),
                times_trained=campaign.count_trainings(),
                blocked=block_overdue(opened),
                destroyed=select_destroyed(opened, manifests),
            )
        )
        campaign.put_allocation(allocation, opened.coordinator)
    return allocation


@dg.asset(
    partitions_def=rounds, deps=["round_base", "signed_shards", "node_profiles"], group_name=GROUP
)
def shard_allocation(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """Shards to nodes as one optimisation, and one signed order per node."""
    opened = home.open()
    base = opened.campaign.find_base(context.partition_key)
    if base is None:
        raise FederationError(f"round {context.partition_key} was not opened; run round_base")
    with (
        recorded(context, opened, "shard_allocation", base.round) as deed,
        opened.lock(ALLOCATION_LOCK),
    ):
        allocation = decide_allocation(opened, base)
        issue_orders(opened, base, allocation.assignments)
        deed.details.update(sha256=allocation.digest(), orders=sorted(allocation.assignments))
    rows = [
        (n.node_id, len(n.shard_ids), n.num_tokens, n.expected_seconds, n.expected_joules)
        for n in allocation.nodes
    ]
    return build_result(
        deed,
        sha256=allocation.digest(),
        metadata={
            "orders": len(allocation.assignments),
            "nodes": render_table(("node", "shards", "tokens", "expected s", "expected J"), rows),
            "excluded": render_table(("node", "why"), allocation.excluded.items()),
            "shards left out": render_table(("why", "shards"), allocation.left_out.items()),
            "slowest node (s)": allocation.makespan_seconds,
            "solver": allocation.solver,
        },
    )


def select_profiles(opened: Home, roster: Iterable[str]) -> list[NodeProfile]:
    """Return the profiles of the active nodes of a roster."""
    wanted = set(roster)
    return [node.profile for node in _list_active(opened) if node.node_id in wanted]
