import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.errors import ShardError
from synnq_assets.settings.recipe import ShardSettings
from synnq_assets.shards.content import (
    build_leaf,
    build_merkle_root,
    build_shard_id,
    digest_config,
)

TOKENIZER, CONFIG = "aa" * 32, "bb" * 32


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def test_root_of_three_leaves_is_the_tree_of_rfc_6962():
    a, b, c = (sha256(bytes([k])) for k in range(3))
    expected = sha256(b"\1" + sha256(b"\1" + a + b) + c)
    assert build_merkle_root([a, b, c]) == expected


@given(st.integers(1, 70))
def test_root_equals_the_recursive_definition(size):
    leaves = [sha256(k.to_bytes(2, "big")) for k in range(size)]

    def tree(part):
        if len(part) == 1:
            return part[0]
        k = 1 << ((len(part) - 1).bit_length() - 1)
        return sha256(b"\1" + tree(part[:k]) + tree(part[k:]))

    assert build_merkle_root(leaves) == tree(leaves)


def test_leaf_is_the_same_for_both_stored_widths_of_tokens():
    ids = [5, 300, 0]
    narrow = build_leaf("cd" * 32, 1, np.array(ids, dtype=np.uint16))
    wide = build_leaf("cd" * 32, 1, np.array(ids, dtype=np.uint32))
    tokens = b"".join(k.to_bytes(4, "little") for k in ids)
    content = bytes.fromhex("cd" * 32) + (1).to_bytes(4, "big") + (3).to_bytes(8, "big")
    assert narrow == wide == sha256(b"\0" + content + sha256(tokens))


def test_id_depends_on_documents_order_tokenizer_and_configuration():
    a = build_leaf("01" * 32, 1, np.array([1, 0]))
    b = build_leaf("02" * 32, 1, np.array([1, 0]))
    ids = {
        build_shard_id([a, b], TOKENIZER, CONFIG),
        build_shard_id([b, a], TOKENIZER, CONFIG),
        build_shard_id([a], TOKENIZER, CONFIG),
        build_shard_id([a, b], CONFIG, CONFIG),
        build_shard_id([a, b], TOKENIZER, TOKENIZER),
    }
    assert len(ids) == 5


def test_a_shard_without_documents_has_no_id():
    with pytest.raises(ShardError, match="without documents"):
        build_shard_id([], TOKENIZER, CONFIG)


def test_configuration_digest_follows_every_setting():
    digests = {
        digest_config(ShardSettings()),
        digest_config(ShardSettings(generation=2)),
        digest_config(ShardSettings(target_tokens=4_096)),
        digest_config(ShardSettings(holdout_share=0.1)),
    }
    assert len(digests) == 4
