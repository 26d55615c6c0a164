"""Sealed shards to token ids, in memory only, every claim of the order checked on the way."""

import fcntl
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from synnq_assets.errors import SealError, ShardError, StorageError
from synnq_assets.records.orders import Order, OrderShard
from synnq_assets.settings.node import NodeSettings
from synnq_assets.storage.files import hash_file, write_atomically
from synnq_assets.storage.tokens import TokenShard, decode_tokens
from synnq_assets.training.folder import JobFolder
from synnq_assets.trust.keyfiles import node_key_file
from synnq_assets.trust.keys import SealingKey
from synnq_assets.trust.sealing import (
    build_shard_context,
    commit_plaintext,
    open_sealed,
    unwrap_data_key,
)


def open_shards(
    order: Order, folder: JobFolder, node: NodeSettings, *, vocab_size: int
) -> tuple[TokenShard, ...]:
    """Open the order's shards, in its order.

    Raises:
        ShardError: a file is missing, damaged, or not what the order says; fetch it again.
        TrustError: the node's sealing key cannot be read.
    """
    keys = [SealingKey.read(node_key_file(node, "sealing"))]
    if node.previous_sealing_key is not None:
        earlier = node.model_copy(update={"sealing_key": node.previous_sealing_key})
        keys.append(SealingKey.read(node_key_file(earlier, "sealing")))
    return tuple(
        _open_shard(order, shard, folder.sealed_path(shard.shard_id), keys, vocab_size=vocab_size)
        for shard in order.shards
    )


def _open_shard(
    order: Order, shard: OrderShard, path: Path, keys: Sequence[SealingKey], *, vocab_size: int
) -> TokenShard:
    short = f"shard {shard.shard_id[:12]}…"
    try:
        found = hash_file(path)
    except OSError as error:
        raise ShardError(f"{short} cannot be read: {path}: {error.strerror}") from error
    if found != (shard.ciphertext_sha256, shard.ciphertext_bytes):
        raise ShardError(f"{short} is damaged: not the file that the order names; fetch it again")
    try:
        context = build_shard_context(
            order.federation, shard.shard_id, order.assignment_id, order.node_id
        )
        data_key = _unwrap(shard.wrapped_key, keys, context)
        plaintext = open_sealed(path, data_key, context)
    except SealError as error:
        raise ShardError(f"{short} does not open with this node's sealing key: {error}") from error
    if commit_plaintext(data_key, plaintext) != shard.plaintext_commitment:
        raise ShardError(f"{short} holds other content than its steward committed to")
    content = decode_tokens(plaintext, vocab_size=vocab_size)
    if content.tokenizer_sha256 != order.tokenizer_sha256:
        raise ShardError(f"{short} was cut with another tokenizer than the order's")
    if (content.cell, content.num_tokens) != (shard.cell, shard.num_tokens):
        raise ShardError(
            f"{short} holds {content.num_tokens} tokens of {content.cell!r}; "
            f"the order says {shard.num_tokens} of {shard.cell!r}"
        )
    return content


def _unwrap(wrapped: str, keys: Sequence[SealingKey], context: bytes) -> bytes:
    """Unwrap with the present key, or with the one before a rotation."""
    for key in keys[:-1]:
        with suppress(SealError):
            return unwrap_data_key(wrapped, key, context)
    return unwrap_data_key(wrapped, keys[-1], context)


def record_exposure(path: Path, shard_ids: Iterable[str]) -> None:
    """Add shard ids, one a line, to the list of all that this node has ever opened.

    Two jobs of one node may end up here together; the lock keeps both lists.

    Raises:
        StorageError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageError(f"cannot write exposure file {path}: {error.strerror}") from error
    try:
        with suppress(OSError):  # some parallel file systems are mounted without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        known = path.read_text(encoding="ascii").split() if path.exists() else []
        merged = dict.fromkeys([*known, *shard_ids])
        write_atomically(path, "".join(f"{shard_id}\n" for shard_id in merged).encode())
    finally:
        os.close(descriptor)
