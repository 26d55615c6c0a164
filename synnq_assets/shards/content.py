"""What a shard is called: a digest of everything that decides its tokens.

shard_id = SHA-256(Merkle root | tokenizer digest | configuration digest). A leaf of the tree is
doc_id | part | num_tokens | SHA-256 of the tokens as little-endian uint32, in shard order. Anyone
who holds the tokens and the lineage can recompute it, and prove that a document is in a shard.
Source: RFC 6962 §2.1 for the tree.
"""

import hashlib
import struct
from collections.abc import Sequence

import numpy as np

from synnq_assets.errors import ShardError
from synnq_assets.records.base import canonical_json, sha256_hex
from synnq_assets.settings.recipe import ShardSettings
from synnq_assets.storage.tensors import Array
from synnq_assets.trust.merkle import hash_children, hash_leaf, range_hash

PACKING = "synnq-pack-1"  # changes when the same settings would cut or pack otherwise
_LEAF = struct.Struct(">32sIQ32s")


def digest_config(settings: ShardSettings) -> str:
    """Return the SHA-256 (hex) of the shard settings and the packing algorithm's version."""
    return sha256_hex(
        canonical_json({"packing": PACKING, "settings": settings.model_dump(mode="json")})
    )


def build_leaf(doc_id: str, part: int, tokens: Array) -> bytes:
    """Return the leaf hash of one document, or of one part of it."""
    data = np.ascontiguousarray(tokens, dtype="<u4")
    digest = hashlib.sha256(data.data if data.size else b"").digest()
    return hash_leaf(_LEAF.pack(bytes.fromhex(doc_id), part, len(data), digest))


def build_merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the RFC 6962 tree hash over leaf hashes, each inner node computed once."""
    levels = [list(leaves)]
    while len(below := levels[-1]) > 1:
        pairs = range(0, len(below) - 1, 2)
        levels.append([hash_children(below[k], below[k + 1]) for k in pairs])
    return range_hash(lambda level, index: levels[level][index], 0, len(leaves))


def build_shard_id(leaves: Sequence[bytes], tokenizer_sha256: str, config_sha256: str) -> str:
    """Return the content address (hex) of a shard whose documents have these leaf hashes.

    Raises:
        ShardError: the shard holds no document.
    """
    if not leaves:
        raise ShardError("a shard without documents has no id")
    content = build_merkle_root(leaves)
    content += bytes.fromhex(tokenizer_sha256) + bytes.fromhex(config_sha256)
    return sha256_hex(content)
