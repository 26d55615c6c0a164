import json
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from synnq_assets.errors import (
    ObjectConflictError,
    ObjectNotFoundError,
    ShardError,
    StorageError,
    TensorFileError,
)
from synnq_assets.storage import FolderStore, TensorFile, TensorWriter, write_atomically
from synnq_assets.storage.files import open_atomically
from synnq_assets.storage.tensors import bf16_to_float32, encode_tensors, float32_to_bf16
from synnq_assets.storage.tokens import TokenShard, decode_tokens, encode_tokens


def test_a_failed_write_leaves_the_old_file_and_nothing_beside(tmp_path):
    path = tmp_path / "a"
    write_atomically(path, b"old")
    with pytest.raises(RuntimeError), open_atomically(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_is_a_typed_error():
    with pytest.raises(StorageError, match="cannot write /dev/full/x"):
        from pathlib import Path

        write_atomically(Path("/dev/full/x"), b"x")


def test_a_key_is_written_once(tmp_path):
    store = FolderStore(tmp_path)
    store.put_bytes("a/b", b"1")
    store.put_bytes("a/b", b"1")
    with pytest.raises(ObjectConflictError, match="a/b already holds other bytes"):
        store.put_bytes("a/b", b"2")
    assert store.get_bytes("a/b") == b"1"
    assert list(store.iter_keys("a")) == ["a/b"]


def test_a_missing_key_is_named(tmp_path):
    with pytest.raises(ObjectNotFoundError, match="nothing is stored under a/b"):
        FolderStore(tmp_path).get_bytes("a/b")


@pytest.mark.parametrize("key", ["", "/a", "../a", "a/../b", "a//b", "A", "a b", ".a", "a/\0"])
def test_an_unsafe_key_is_refused(tmp_path, key):
    with pytest.raises(StorageError, match="is not an object key"):
        FolderStore(tmp_path).put_bytes(key, b"")


def test_bf16_rounds_to_nearest_even():
    # 1 + 2^-8 lies halfway between 1 and 1 + 2^-7: the even one is 1. 1 + 3*2^-8 goes up.
    values = np.array([1 + 2**-8, 1 + 3 * 2**-8, -2.0, 0.0], np.float32)
    assert bf16_to_float32(float32_to_bf16(values)).tolist() == [1.0, 1 + 2**-6, -2.0, 0.0]
    assert np.isnan(bf16_to_float32(float32_to_bf16(np.array([np.nan], np.float32))))[0]


@given(hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(width=32)))
def test_bf16_agrees_with_torch(values):
    ours = bf16_to_float32(float32_to_bf16(values))
    theirs = torch.from_numpy(values).bfloat16().float().numpy()
    assert np.array_equal(ours, theirs, equal_nan=True)


def test_a_written_file_reads_back_here_and_in_the_library(tmp_path):
    from safetensors.numpy import load_file

    path = tmp_path / "m.safetensors"
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    with TensorWriter(path, {"b": ("F32", (2, 3)), "a": ("F32", (1,))}, {"k": "v"}) as writer:
        writer.append("a", np.ones(1, np.float32))
        writer.append("b", values[:1])
        writer.append("b", values[1:])
    with TensorFile(path) as file:
        assert file.read("b").tolist() == values.tolist()
        assert file.metadata == {"k": "v"}
        assert [file.read_float32("b", *r).tolist() for r in file.iter_blocks("b", 4)] == [
            [0, 1, 2, 3],
            [4, 5],
        ]
    assert load_file(path)["b"].tolist() == values.tolist()


def test_an_incomplete_file_never_appears(tmp_path):
    path = tmp_path / "m.safetensors"
    with (
        pytest.raises(TensorFileError, match="not every declared tensor"),
        TensorWriter(path, {"a": ("F32", (2,))}) as w,
    ):
        w.append("a", np.ones(1, np.float32))
    assert list(tmp_path.iterdir()) == []


def tensor_file(header, data=b"\0" * 8, raw=None):
    text = raw if raw is not None else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "shorter than"),
        (struct.pack("<Q", 2**63) + b"{}", "header of"),
        (tensor_file({}, b""), "holds no tensor"),
        (tensor_file({"../../etc/x": ENTRY}), "its name is not allowed"),
        (tensor_file({"": ENTRY}), "its name is not allowed"),
        (tensor_file({"a\0b": ENTRY}), "its name is not allowed"),
        (tensor_file({"a": ENTRY}, b"\0" * 7), "on disk"),
        (tensor_file({"a": ENTRY}, b"\0" * 9), "on disk"),
        (tensor_file({"a": {**ENTRY, "x": 1}}), "must hold dtype"),
        (tensor_file({"a": {**ENTRY, "dtype": "BOOL"}}), "dtype"),
        (tensor_file({"a": {**ENTRY, "shape": [3]}}), "does not fit"),
        (tensor_file({"a": {**ENTRY, "shape": [-2]}}), "small integers"),
        (tensor_file({"a": {**ENTRY, "shape": [2**63, 2]}}), "small integers"),
        (tensor_file({"a": ENTRY, "b": ENTRY}), "overlap"),
        (tensor_file({"a": {**ENTRY, "data_offsets": [8, 16]}}, b"\0" * 16), "hole"),
        (tensor_file(None, raw=b' {"a":{}}'), "does not begin"),
        (tensor_file(None, raw=b'{"a":1,"a":2}'), "repeats a key"),
        (tensor_file({"a": {**ENTRY, "shape": [0], "data_offsets": [0, 0]}}, b""), "does not fit"),
    ],
)
def test_the_strict_profile_refuses(data, says, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    with pytest.raises(TensorFileError, match=says):
        TensorFile(path)


@settings(max_examples=200)
@given(st.binary(max_size=120))
def test_foreign_tensor_bytes_open_or_raise_a_typed_error(data):
    for candidate in (data, struct.pack("<Q", len(data)) + data):
        try:
            TensorFile.from_bytes("x", candidate)
        except TensorFileError:
            pass


def test_a_token_file_reads_back():
    shard = TokenShard(
        "de.health", "0" * 64, np.array([1, 0, 2, 0], np.uint16), np.array([0, 2, 4])
    )
    again = decode_tokens(encode_tokens(shard, vocab_size=10), vocab_size=10)
    assert again.tokens.tolist() == [1, 0, 2, 0]
    assert again.offsets.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("tokens", "offsets", "says"),
    [
        ([1, 0], [0, 1], "do not cover"),
        ([1, 0], [0, 0, 2], "do not cover"),
        ([9, 0], [0, 2], "beyond the vocabulary"),
        ([1], [0], "no document"),
    ],
)
def test_a_wrong_token_file_is_refused(tokens, offsets, says):
    data = encode_tensors(
        {"tokens": ("U16", np.array(tokens)), "offsets": ("I64", np.array(offsets))},
        {"format": "synnq-shard-1"},
    )
    with pytest.raises(ShardError, match=says):
        decode_tokens(data, vocab_size=5)
