"""Seal a shard once more, for one assignment of one node: a file and a data key of its own.

The store is write-once, so the order is: the fresh data key, wrapped to the steward; the file; then
the order, by the caller; then the steward's copy of the key goes. Whatever a killed process left is
checked and used again, so the same order follows from it.
"""

import hmac
from dataclasses import dataclass

from synnq_assets.errors import SealError
from synnq_assets.records.orders import OrderShard
from synnq_assets.records.shards import ShardManifest
from synnq_assets.shards.seal import ShardKeys, body_context
from synnq_assets.shards.verify import read_data_key
from synnq_assets.storage.files import hash_file
from synnq_assets.storage.objects import ObjectStore
from synnq_assets.trust.campaign import sealed_folder, sealed_key
from synnq_assets.trust.keys import SealingKey
from synnq_assets.trust.sealing import (
    build_context,
    build_shard_context,
    commit_sealed,
    generate_data_key,
    reseal_file,
    unwrap_data_key,
    wrap_data_key,
)

KEPT_KEY = ".key.txt"  # how the name of a data key that is kept for the steward ends


@dataclass(frozen=True)
class Recipient:
    """Whom a shard is sealed for, and for which order."""

    federation: str
    assignment_id: str
    node_id: str
    sealing_public_key: str  # the node's


def seal_for_order(
    store: ObjectStore, manifest: ShardManifest, steward_key: SealingKey, recipient: Recipient
) -> OrderShard:
    """Seal a shard for one order, and return what the order says about it.

    Args:
        store: the campaign's object store; gets the file under `sealed_key`.
        manifest: of the shard, as its steward signed it.
        steward_key: what data keys at rest are wrapped to.
        recipient: the order and its node.

    Raises:
        SealError: the shard was destroyed, or is not what its steward committed to; or what an
            interrupted run left does not open.
        ObjectNotFoundError: the shard's body or data key is not stored.
    """
    shard_id, assignment_id = manifest.shard_id, recipient.assignment_id
    at_rest = read_data_key(store, shard_id, steward_key)
    context = build_shard_context(recipient.federation, shard_id, assignment_id, recipient.node_id)
    data_key = _keep_data_key(store, assignment_id, shard_id, steward_key)
    key = sealed_key(assignment_id, shard_id)
    if store.has(key):
        commitment = commit_sealed(store.local_path(key), data_key, context)
    else:
        body, building = store.local_path(ShardKeys(shard_id).body), store.reserve(key)
        old, new = (at_rest, body_context(shard_id)), (data_key, context)
        held, commitment = reseal_file(body, old, new, building)
        if not hmac.compare_digest(held, manifest.plaintext_commitment):
            building.unlink()
            raise SealError(f"the content of {shard_id[:12]} is not what its manifest commits to")
        store.put_file(key, building)
    ciphertext_sha256, ciphertext_bytes = hash_file(store.local_path(key))
    return OrderShard(
        shard_id=shard_id,
        cell=manifest.cell,
        num_tokens=manifest.num_tokens,
        ciphertext_sha256=ciphertext_sha256,
        ciphertext_bytes=ciphertext_bytes,
        plaintext_commitment=commitment,
        wrapped_key=wrap_data_key(data_key, recipient.sealing_public_key, context),
    )


def _keep_data_key(
    store: ObjectStore, assignment_id: str, shard_id: str, steward_key: SealingKey
) -> bytes:
    context = build_context("steward", shard_id, assignment_id)
    key = f"{sealed_folder(assignment_id)}/{shard_id}{KEPT_KEY}"
    if store.has(key):
        wrapped = store.get_bytes(key).decode("ascii", "replace")
        return unwrap_data_key(wrapped, steward_key, context)
    data_key = generate_data_key()
    wrapped = wrap_data_key(data_key, steward_key.public_key, context)
    store.put_bytes(key, wrapped.encode())
    return data_key


def forget_data_keys(store: ObjectStore, assignment_id: str) -> None:
    """Destroy the steward's copies of an assignment's data keys: its order stands."""
    for key in [*store.iter_keys(sealed_folder(assignment_id))]:
        if key.endswith(KEPT_KEY):
            store.remove(key, overwrite=True)


def remove_sealed(store: ObjectStore, assignment_id: str) -> int:
    """Remove everything that was sealed for an assignment; return the number of shards."""
    keys = [*store.iter_keys(sealed_folder(assignment_id))]
    for key in keys:
        store.remove(key, overwrite=key.endswith(KEPT_KEY))
    return sum(not key.endswith(KEPT_KEY) for key in keys)
