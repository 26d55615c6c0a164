"""One order per node: what to train, from where, under which terms."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from synnq_assets.errors import OrderError
from synnq_assets.records.base import now_at, sha256_hex
from synnq_assets.records.federation import NodeRecord, RoundBase
from synnq_assets.records.identifiers import build_assignment_id
from synnq_assets.records.orders import CheckpointRef, Order, OrderShard
from synnq_assets.settings import Settings


@dataclass(frozen=True)
class OrderTerms:
    """What all orders of a round have in common."""

    settings: Settings
    base: RoundBase
    checkpoint: CheckpointRef
    tokenizer_sha256: str
    image_sha256: str | None = None


def build_order(
    terms: OrderTerms,
    node: NodeRecord,
    *,
    attempt: int,
    shards: Sequence[OrderShard],
) -> Order:
    """Return one order; the caller signs it.

    Args:
        terms: what the round's orders share.
        node: the addressee, which must be active.
        attempt: 1 for the node's first order of the round, then counting.
        shards: the shards to train, sealed for exactly this order.

    Raises:
        OrderError: the node is not active, or there is nothing to train.
    """
    if node.status != "active":
        raise OrderError(f"node {node.node_id} is {node.status}; it gets no order")
    if not shards:
        raise OrderError(f"an order for {node.node_id} would hold no shard")
    assignment_id = build_assignment_id(terms.base.round, node.node_id, attempt)
    recipe = terms.settings.recipe
    return Order(
        federation=recipe.federation,
        round=terms.base.round,
        assignment_id=assignment_id,
        node_id=node.node_id,
        agreement_sha256=node.agreement_sha256,
        base=terms.checkpoint,
        shards=tuple(sorted(shards, key=lambda shard: shard.shard_id)),
        tokenizer_sha256=terms.tokenizer_sha256,
        recipe_sha256=terms.settings.recipe_sha256,
        epochs=recipe.training.epochs,
        lr=terms.base.lr,
        optimizer_state="reset",
        seed=recipe.training.seed + int(sha256_hex(assignment_id.encode())[:8], 16),
        image_sha256=terms.image_sha256,
        issued_at=now_at(),
        deadline_at=terms.base.deadline_at,
        nonce=secrets.token_hex(32),
    )
