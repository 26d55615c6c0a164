"""What was sealed for one assignment: made before its order, removed when the order is settled."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from synnq_assets.errors import SealError
from synnq_assets.records.federation import NodeRecord
from synnq_assets.records.identifiers import parse_assignment_id
from synnq_assets.records.orders import Order, OrderShard
from synnq_assets.shards import Recipient, forget_data_keys, remove_sealed, seal_for_order
from synnq_assets.trust import Home
from synnq_assets.trust.campaign import sealed_key
from synnq_assets.trust.ledger import Skip, skipping


def seal_shards_for(
    opened: Home, node: NodeRecord, assignment_id: str, shard_ids: Iterable[str]
) -> list[OrderShard]:
    """Seal shards for one order, those aside that were destroyed since they were promised.

    Raises:
        SealError: a shard at rest is not what its steward committed to, or does not open.
    """
    recipient = Recipient(
        federation=opened.settings.recipe.federation,
        assignment_id=assignment_id,
        node_id=node.node_id,
        sealing_public_key=node.sealing_public_key,
    )
    campaign = opened.campaign
    return [
        seal_for_order(
            opened.store, campaign.get_manifest(shard_id), opened.steward_sealing, recipient
        )
        for shard_id in shard_ids
        if not campaign.is_destroyed(shard_id)
    ]


def locate_sealed(opened: Home, order: Order) -> dict[str, Path]:
    """Return shard id -> the file that was sealed for an order.

    Raises:
        SealError: a shard was destroyed since the order was issued.
        ObjectNotFoundError: the order is settled, and its files are removed.
    """
    gone = [s.shard_id[:12] for s in order.shards if opened.campaign.is_destroyed(s.shard_id)]
    if gone:
        raise SealError(
            f"{order.assignment_id} cannot be delivered: shard {gone[0]} was destroyed; reassign it"
        )
    return {
        shard.shard_id: opened.store.local_path(sealed_key(order.assignment_id, shard.shard_id))
        for shard in order.shards
    }


def clear_sealed(opened: Home, live_rounds: Iterable[str], *, skip: Skip) -> list[str]:
    """Remove what was sealed for settled assignments; return these.

    Settled: a verdict or a loss stands, or the round can bring nothing any more. Decided from the
    records alone, so what a crash left behind goes at the next call.
    """
    live, cleared = set(live_rounds), []
    for assignment_id in _iter_sealed(opened):
        with skipping(skip, assignment_id):
            is_live = parse_assignment_id(assignment_id)[0] in live
            if is_live and opened.campaign.is_open(assignment_id):
                if opened.campaign.has_order(assignment_id):
                    forget_data_keys(opened.store, assignment_id)
                continue
            with opened.audit.act("remove_sealed", assignment_id, actor="coordinator") as deed:
                deed.details.update(shards=remove_sealed(opened.store, assignment_id))
            cleared.append(assignment_id)
    return cleared


def _iter_sealed(opened: Home) -> Iterator[str]:
    """Yield the assignments that something lies in the store for."""
    for round_key in opened.campaign.list_rounds():
        keys = opened.store.iter_keys(f"rounds/{round_key}/sealed")
        yield from sorted({key.split("/")[3] for key in keys})
