import hmac
import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from synnq_assets.errors import SealError
from synnq_assets.trust import SealingKey
from synnq_assets.trust.sealing import (
    CHUNK_BYTES,
    HEAD_BYTES,
    STEP_BYTES,
    build_context,
    commit_plaintext,
    generate_data_key,
    open_sealed,
    open_to_file,
    read_sealed,
    reseal_file,
    seal_bytes,
    unwrap_data_key,
    wrap_data_key,
)

KEY = generate_data_key()
HEAD = HEAD_BYTES
CHUNK = CHUNK_BYTES + 16


@pytest.mark.parametrize(
    "size",
    [
        *(0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES),
        *(STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 3 * STEP_BYTES + 7),
    ],
)
def test_sealed_bytes_open(tmp_path, size):
    data = os.urandom(size)
    seal_bytes(data, KEY, b"context", tmp_path / "s")
    assert open_sealed(tmp_path / "s", KEY, b"context") == data
    sealed = (tmp_path / "s").read_bytes()
    assert len(sealed) == 56 + size + 16 * (size // CHUNK_BYTES + 1)
    assert seal_as_specified(data, KEY, b"context", sealed[:24]) == sealed


def seal_as_specified(plaintext, key, context, salt):
    """c2sp.org/chunked-encryption read aloud; HKDF-Expand from the standard library alone."""
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context
    blocks = [b""]
    for counter in (1, 2):
        blocks.append(hmac.digest(key, blocks[-1] + info + bytes([counter]), "sha512"))
    derived = b"".join(blocks)[: 32 + 12 + 32]
    cipher, nonce = AESGCM(derived[:32]), int.from_bytes(derived[32:44], "big")
    chunks = [
        plaintext[begin : begin + CHUNK_BYTES]
        for begin in range(0, len(plaintext) - len(plaintext) % CHUNK_BYTES + 1, CHUNK_BYTES)
    ]
    return (
        salt
        + derived[44:]
        + b"".join(
            cipher.encrypt((nonce ^ k).to_bytes(12, "big"), chunk, None)
            for k, chunk in enumerate(chunks)
        )
    )


@given(data=st.data(), size=st.integers(0, 3 * CHUNK_BYTES + 5))
@settings(max_examples=60, deadline=None)
def test_any_part_can_be_read_without_the_rest(data, size, tmp_path_factory):
    plaintext = os.urandom(size)
    path = tmp_path_factory.mktemp("part") / "s"
    seal_bytes(plaintext, KEY, b"context", path)
    begin = data.draw(st.integers(0, size))
    end = data.draw(st.integers(begin, size))
    assert read_sealed(path, KEY, b"context", begin, end) == plaintext[begin:end]


def test_a_part_of_a_damaged_chunk_or_under_another_key_is_refused(tmp_path):
    path = tmp_path / "s"
    seal_bytes(os.urandom(3 * CHUNK_BYTES), KEY, b"context", path)
    damaged = bytearray(path.read_bytes())
    damaged[HEAD + CHUNK + 5] ^= 1
    path.write_bytes(damaged)
    assert len(read_sealed(path, KEY, b"context", 0, 10)) == 10
    with pytest.raises(SealError, match="chunk 1 is damaged"):
        read_sealed(path, KEY, b"context", CHUNK_BYTES, CHUNK_BYTES + 1)
    for key, context in ((generate_data_key(), b"context"), (KEY, b"other")):
        with pytest.raises(SealError, match="another key or context"):
            read_sealed(path, key, context, 0, 1)


def test_every_flip_and_every_cut_of_a_small_file_is_refused(tmp_path):
    path = tmp_path / "s"
    seal_bytes(b"text of a shard", KEY, b"context", path)
    sealed = path.read_bytes()
    for position in range(len(sealed)):
        for other in (
            sealed[:position],
            sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :],
        ):
            path.write_bytes(other)
            with pytest.raises(SealError):
                open_sealed(path, KEY, b"context")


def test_a_file_of_plaintext_appears_only_when_the_last_chunk_verified(tmp_path):
    data = os.urandom(2 * STEP_BYTES + 5)
    seal_bytes(data, KEY, b"context", tmp_path / "s")
    open_to_file(tmp_path / "s", KEY, b"context", tmp_path / "plain")
    assert (tmp_path / "plain").read_bytes() == data
    assert (tmp_path / "plain").stat().st_mode & 0o777 == 0o600
    (tmp_path / "s").write_bytes((tmp_path / "s").read_bytes()[:-1])
    with pytest.raises(SealError):
        open_to_file(tmp_path / "s", KEY, b"context", tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "s"]


def test_a_file_is_sealed_anew_for_another_context(tmp_path):
    data, other = os.urandom(STEP_BYTES + 5), generate_data_key()
    seal_bytes(data, KEY, b"at rest", tmp_path / "s")
    reseal_file(tmp_path / "s", (KEY, b"at rest"), (other, b"order"), tmp_path / "t")
    assert open_sealed(tmp_path / "t", other, b"order") == data
    (tmp_path / "s").write_bytes((tmp_path / "s").read_bytes()[:-1])
    with pytest.raises(SealError):
        reseal_file(tmp_path / "s", (KEY, b"at rest"), (other, b"order"), tmp_path / "u")
    assert not (tmp_path / "u").exists()


def test_a_context_is_of_ids_without_zero_bytes():
    assert build_context("fed", "r0001.a.1") == b"fed\0r0001.a.1"
    with pytest.raises(SealError, match="zero byte"):
        build_context("a\0b", "c")


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
    with pytest.raises(SealError, match="damaged, cut, or sealed under another"):
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
