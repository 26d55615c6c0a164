"""Items 33 to 47 of the list of bad inputs: the update, signed by its node just as it is.

Items 48 and 49 (rank, alpha and rescaled factors of low-rank updates) have no counterpart here: an
update is full, and its tensors are compared with the base checkpoint's by name and shape. Item 36
belongs to the gateway, which takes no content coding.
"""

import io
import json
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from synnq_assets.storage.files import write_atomically

from .makers import write_update

UPDATE = "update.safetensors"


def render(header, data=b"", *, length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(begin, end, shape=None, dtype="BF16"):
    return {"dtype": dtype, "shape": shape or [(end - begin) // 2], "data_offsets": [begin, end]}


def put(bad, data):
    """Sign an update of any bytes."""
    bad.submit()
    write_atomically(bad.outbox / UPDATE, data)
    bad.sign_again()


def put_tensors(bad, change, **options):
    """Sign an update whose tensors were changed."""
    bad.submit()
    update = {name: np.array(v, dtype=np.float32) for name, v in bad.world.work.update.items()}
    write_update(bad.outbox / UPDATE, change(update) or update, **options)
    bad.sign_again()


def measure(act):
    """Return (CPU seconds, peak bytes) of an act."""
    tracemalloc.start()
    began = time.process_time()
    act()
    seconds, (_, peak_bytes) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return seconds, peak_bytes


def test_item_33_a_length_that_is_not_the_manifest_s(bad):
    bad.submit()
    with (bad.outbox / UPDATE).open("ab") as file:
        file.write(b"x")
    bad.refuse("files", "were declared")


def test_item_34_a_digest_that_is_not_the_manifest_s(bad):
    bad.submit()
    data = bytearray((bad.outbox / UPDATE).read_bytes())
    data[-1] ^= 1
    (bad.outbox / UPDATE).write_bytes(data)
    bad.refuse("files", "does not have the declared digest")


def test_item_35_a_sparse_file_of_a_terabyte(bad):
    bad.submit()
    os.truncate(bad.outbox / UPDATE, 1 << 40)
    seconds, peak_bytes = measure(bad.judge)
    bad.refuse("files", "has 1099511627776 bytes; at most 80000000000 are taken")
    assert seconds < 5
    assert peak_bytes < 64 << 20


def render_torch_zip():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps({"w": 1}))
    return data.getvalue()


@pytest.mark.parametrize("kind", ["pickle", "torch", "gzip"])
def test_item_37_another_format_under_the_name_of_safetensors(bad, kind):
    data = {
        "pickle": pickle.dumps({"w": [1.0] * 100}),
        "torch": render_torch_zip(),
        "gzip": b"\x1f\x8b" + bytes(1000),
    }[kind]
    put(bad, data)
    bad.refuse("tensor_profile", "header of")


def test_item_38_a_polyglot_with_a_zip_at_its_end(bad):
    bad.submit()
    put(bad, (bad.outbox / UPDATE).read_bytes() + render_torch_zip())
    bad.refuse("tensor_profile", "declared")


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 0, 1])
def test_item_39_a_header_of_an_absurd_length(bad, length):
    put(bad, render({"w": entry(0, 4)}, b"data", length=length))
    seconds, peak_bytes = measure(bad.judge)
    bad.refuse("tensor_profile", f"header of {length} bytes is not allowed")
    assert seconds < 5
    assert peak_bytes < 64 << 20


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry(0, 4), "b": entry(2, 6)},
        {"a": entry(0, 4), "b": entry(6, 8)},
        {"a": entry(2, 8)},
        {"a": entry(0, 4), "b": entry(0, 4)},
    ],
    ids=["overlap", "hole", "late begin", "twice the same"],
)
def test_item_40_an_overlap_or_a_hole(bad, header):
    put(bad, render(header, bytes(8)))
    bad.refuse("tensor_profile", "overlap or have a hole")


@pytest.mark.parametrize("what", ["tensor", "notes", "field"])
def test_item_41_a_repeated_key(bad, what):
    one = json.dumps(entry(0, 4))
    header = {
        "tensor": f'{{"w":{one},"w":{one}}}',
        "notes": f'{{"__metadata__":{{}},"__metadata__":{{}},"w":{one}}}',
        "field": f'{{"w":{one[:-1]},"dtype":"BF16"}}}}',
    }[what]
    put(bad, render(header.encode(), bytes(4)))
    bad.refuse("tensor_profile", "repeats a key")


def rename(update):
    name = max(update)
    return {**{k: v for k, v in update.items() if k != name}, "another": update[name]}


def transpose(update):
    name = next(k for k, v in update.items() if v.ndim == 2 and v.shape[0] != v.shape[1])
    return {**update, name: update[name].T}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (rename, "is missing"),
        (lambda update: dict(list(update.items())[1:]), "is missing"),
        (lambda update: {**update, "extra": np.ones(3)}, "not part of the model"),
        (transpose, "expected ["),
        (
            lambda update: {**update, "tied.twin.weight": next(iter(update.values()))},
            "not part of the model",
        ),
    ],
    ids=["renamed", "missing", "extra", "transposed", "tied twin"],
)
def test_item_42_tensors_that_are_not_the_model_s(bad, change, says):
    put_tensors(bad, change)
    bad.refuse("tensor_schema", says)


@pytest.mark.parametrize("dtype", ["F32"])
def test_item_42_another_type_of_number(bad, dtype):
    put_tensors(bad, dict, dtype=dtype)
    bad.refuse("tensor_schema", f"is {dtype}, expected BF16")


@pytest.mark.parametrize(
    "shape", [[2**32, 2**32], [2**47] * 3, [2**63], [-1, -2], [2, True], [0], [1.0]]
)
def test_item_43_a_product_of_sizes_that_overflows(bad, shape):
    put(bad, render({"w": entry(0, 4, shape)}, bytes(4)))
    bad.refuse("tensor_profile", "tensor 0: ")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_item_44_a_figure_that_is_not_finite(bad, value):
    put_tensors(bad, lambda update: update[max(update)].flat.__setitem__(-1, value))
    bad.refuse("finite", "NaN or infinite")


def test_item_44_the_largest_figure_that_there_is(bad):
    put_tensors(bad, lambda update: update[max(update)].fill(3.38e38))
    bad.refuse("step_bound", "times as far as")


def test_item_44_a_flood_of_subnormal_figures(bad):
    put_tensors(bad, lambda update: {k: np.full_like(v, 1e-39) for k, v in update.items()})
    bad.refuse("norm", "zero but for subnormal figures")


def test_item_45_all_zero(bad):
    put_tensors(bad, lambda update: {k: np.zeros_like(v) for k, v in update.items()})
    bad.refuse("norm", "zero everywhere")


def test_item_46_one_element_of_1e30(bad):
    put_tensors(bad, lambda update: update[max(update)].flat.__setitem__(0, 1e30))
    bad.refuse("step_bound", "times as far as")


@pytest.mark.parametrize(("number", "says"), [(200_000, "is not allowed"), (13_000, "missing")])
def test_item_47_a_flood_of_tensors(bad, number, says):
    """More than fit into the header's megabyte, and as many as do."""
    header = {str(k): entry(2 * k, 2 * k + 2) for k in range(number)}
    raw = json.dumps(header, separators=(",", ":")).encode()
    bad.world = replace(bad.world)
    put(bad, render(raw, bytes(2 * number)))
    seconds, peak_bytes = measure(bad.judge)
    bad.refuse("tensor_profile" if number > 100_000 else "tensor_schema", says)
    assert seconds < 10
    assert peak_bytes < 128 << 20
