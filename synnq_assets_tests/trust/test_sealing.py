import os

import pytest

from synnq_assets.errors import SealError
from synnq_assets.trust import SealingKey
from synnq_assets.trust.sealing import (
    CHUNK_BYTES,
    MAGIC,
    commit_plaintext,
    generate_data_key,
    open_sealed,
    seal_bytes,
    unwrap_data_key,
    wrap_data_key,
)

KEY = generate_data_key()
HEAD = len(MAGIC) + 7
CHUNK = CHUNK_BYTES + 16


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]
)
def test_sealed_bytes_open(tmp_path, size):
    data = os.urandom(size)
    seal_bytes(data, KEY, b"context", tmp_path / "s")
    assert open_sealed(tmp_path / "s", KEY, b"context") == data


def swap_chunks(data):
    return (
        data[:HEAD]
        + data[HEAD + CHUNK : HEAD + 2 * CHUNK]
        + data[HEAD : HEAD + CHUNK]
        + data[HEAD + 2 * CHUNK :]
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d[: HEAD + CHUNK],  # cut at a chunk boundary
        lambda d: d[:-1],
        lambda d: d + b"\0",
        lambda d: d[:HEAD] + d[HEAD + CHUNK :],  # a chunk dropped
        swap_chunks,
        lambda d: d[: HEAD + CHUNK] + d[HEAD:],  # a chunk twice
        lambda d: b"X" + d[1:],
        lambda d: d[:5],
        lambda d: b"",
        lambda d: d[: HEAD + 100] + bytes([d[HEAD + 100] ^ 1]) + d[HEAD + 101 :],
    ],
)
def test_damage_is_refused_and_nothing_is_released(tmp_path, damage):
    seal_bytes(os.urandom(2 * CHUNK_BYTES + 5), KEY, b"context", tmp_path / "s")
    (tmp_path / "s").write_bytes(damage((tmp_path / "s").read_bytes()))
    with pytest.raises(SealError, match="damaged, cut, or sealed otherwise|not a sealed shard"):
        open_sealed(tmp_path / "s", KEY, b"context")


def test_another_key_or_context_is_refused(tmp_path):
    seal_bytes(b"text", KEY, b"context", tmp_path / "s")
    for key, context in ((generate_data_key(), b"context"), (KEY, b"other")):
        with pytest.raises(SealError):
            open_sealed(tmp_path / "s", key, context)


def test_a_data_key_unwraps_at_its_node_in_its_context_only():
    node, other = SealingKey.generate(), SealingKey.generate()
    wrapped = wrap_data_key(KEY, node.public_key, b"order 1")
    assert unwrap_data_key(wrapped, node, b"order 1") == KEY
    for key, context in ((other, b"order 1"), (node, b"order 2")):
        with pytest.raises(SealError, match="wrong node, wrong context, or damaged"):
            unwrap_data_key(wrapped, key, context)


def test_a_commitment_needs_the_key():
    assert commit_plaintext(KEY, b"x") == commit_plaintext(KEY, b"x")
    assert commit_plaintext(KEY, b"x") != commit_plaintext(generate_data_key(), b"x")
