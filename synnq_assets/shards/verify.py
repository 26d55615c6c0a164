"""Check a sealed shard against everything that was said about it."""

import hmac
import re

from synnq_assets.errors import SealError, ShardError
from synnq_assets.records.shards import ShardManifest
from synnq_assets.shards.content import build_leaf, build_shard_id
from synnq_assets.shards.lineage import build_lineage_key, read_lineage
from synnq_assets.shards.seal import ShardKeys, body_context, steward_context
from synnq_assets.storage.files import hash_file
from synnq_assets.storage.objects import ObjectStore
from synnq_assets.storage.tokens import TokenShard, decode_tokens
from synnq_assets.trust.envelopes import open_envelope
from synnq_assets.trust.keyring import Keyring
from synnq_assets.trust.keys import SealingKey
from synnq_assets.trust.sealing import (
    commit_plaintext,
    open_sealed,
    unwrap_data_key,
)

_SHARD_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ANY_VOCABULARY = 1 << 32  # the content id fixes every token, so no bound is needed here


def _build_keys(shard_id: str) -> ShardKeys:
    if not _SHARD_ID.fullmatch(shard_id):
        raise ShardError(f"{shard_id[:80]!r} is not a shard id of 64 hexadecimal digits")
    return ShardKeys(shard_id)


def read_data_key(store: ObjectStore, shard_id: str, steward_key: SealingKey) -> bytes:
    """Return a shard's data key at rest.

    Raises:
        SealError: it was destroyed, or the steward's key does not open it.
        ObjectNotFoundError: no such shard.
    """
    keys = _build_keys(shard_id)
    if store.has(keys.destruction):
        raise SealError(
            f"shard {shard_id[:12]} was destroyed: its data key is gone for good, and nothing here "
            f"opens it (see {keys.destruction})"
        )
    wrapped = store.get_bytes(keys.data_key).decode("ascii", "replace")
    return unwrap_data_key(wrapped, steward_key, steward_context(shard_id))


def verify_shard(
    store: ObjectStore, shard_id: str, keyring: Keyring, steward_key: SealingKey
) -> TokenShard:
    """Return a shard's tokens after checking signature, ciphertext, commitment and content id.

    Raises:
        SignatureError: the manifest is not signed by a steward's key.
        SealError: the body is damaged, cut or exchanged, or the key does not open it.
        ShardError: manifest, tokens, lineage and id do not agree.
        ObjectNotFoundError: a part of the shard, or its cell's lineage, is not stored.
    """
    keys = _build_keys(shard_id)
    data = store.get_bytes(keys.manifest)
    manifest = open_envelope(data, ShardManifest, keyring, roles=("steward",))
    if manifest.shard_id != shard_id:
        raise ShardError(f"{keys.manifest} is the manifest of {manifest.shard_id[:12]}")
    body = store.local_path(keys.body)
    if hash_file(body) != (manifest.ciphertext_sha256, manifest.ciphertext_bytes):
        raise SealError(f"{keys.body} is not what the steward signed: damaged, cut or exchanged")
    data_key = read_data_key(store, shard_id, steward_key)
    plaintext = open_sealed(body, data_key, body_context(shard_id))
    commitment = commit_plaintext(data_key, plaintext)
    if not hmac.compare_digest(commitment, manifest.plaintext_commitment):
        raise SealError(f"the content of {shard_id[:12]} is not what its manifest commits to")
    shard = decode_tokens(plaintext, vocab_size=_ANY_VOCABULARY)
    said = (manifest.cell, manifest.tokenizer_sha256, manifest.num_tokens, manifest.num_documents)
    if said != (shard.cell, shard.tokenizer_sha256, shard.num_tokens, len(shard.offsets) - 1):
        raise ShardError(f"the content of {shard_id[:12]} is not what its manifest describes")
    _verify_content_id(store, manifest, shard)
    return shard


def _verify_content_id(store: ObjectStore, manifest: ShardManifest, shard: TokenShard) -> None:
    lineage = read_lineage(store, build_lineage_key(manifest.cell, manifest.generation))
    rows = [row for row in lineage.rows if row.shard_id == manifest.shard_id]
    rows.sort(key=lambda row: row.begin_token)
    if [row.begin_token for row in rows] != shard.offsets[:-1].tolist():
        raise ShardError(f"the lineage of {manifest.cell} does not match {manifest.shard_id[:12]}")
    leaves = [
        build_leaf(row.doc_id, row.part, shard.tokens[begin:end])
        for row, begin, end in zip(rows, shard.offsets[:-1], shard.offsets[1:], strict=True)
    ]
    content_id = build_shard_id(leaves, manifest.tokenizer_sha256, lineage.config_sha256)
    if content_id != manifest.shard_id:
        raise ShardError(
            f"shard {manifest.shard_id[:12]} has the content of {content_id[:12]}: its documents "
            "or its configuration are not those it is named after"
        )
