"""The strict safetensors profile: which headers are read, and how they are written.

Source: safetensors format, https://github.com/huggingface/safetensors (README, "Format").
"""

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synnq_assets.errors import RecordError, TensorFileError
from synnq_assets.records.base import parse_strict_json

MAX_HEADER_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}", re.ASCII)
DTYPES: dict[str, np.dtype[Any]] = {
    "BF16": np.dtype("<u2"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "U8": np.dtype("u1"),
    "U16": np.dtype("<u2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
}


Schema = Mapping[str, tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a file: `begin` and `end` are byte offsets into the data section."""

    name: str
    dtype: str  # safetensors name: BF16, F32, …
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def num_elements(self) -> int:
        """Number of elements; 1 for a scalar."""
        return int(np.prod(self.shape, dtype=np.int64)) if self.shape else 1


def _parse_entry(where: str, name: str, entry: object) -> TensorInfo:
    # A message says which entry, by number: its name is text of whoever wrote the file.
    if not _NAME.fullmatch(name):
        raise TensorFileError(f"{where}: its name is not allowed")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise TensorFileError(f"{where}: entry must hold dtype, shape, data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise TensorFileError(f"{where}: its dtype is not allowed")
    are_lists = isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2
    numbers = [*shape, *offsets] if are_lists else [None]
    if not all(type(n) is int and 0 <= n < 2**48 for n in numbers):
        raise TensorFileError(f"{where}: shape or offsets are not small integers")
    info = TensorInfo(name, dtype, tuple(shape), offsets[0], offsets[1])
    num_elements = 1
    for size in shape:
        num_elements *= size
    if info.end - info.begin != num_elements * DTYPES[dtype].itemsize or num_elements == 0:
        raise TensorFileError(f"{where}: byte range does not fit dtype and shape")
    return info


def parse_header(path: Path, raw: bytes) -> tuple[dict[str, TensorInfo], dict[str, str], int]:
    """Return (tensors in file order, metadata, length of the data section) of a header.

    Raises:
        TensorFileError: not strict JSON, a repeated key, a path-like name, overlaps or holes.
    """
    if not raw.startswith(b"{"):
        raise TensorFileError(f"{path.name}: header does not begin with '{{'")
    try:
        header = parse_strict_json(raw, max_bytes=MAX_HEADER_BYTES)
    except RecordError as error:
        raise TensorFileError(f"{path.name}: header: {error}") from error
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise TensorFileError(f"{path.name}: __metadata__ must map text to text")
    entries = [
        _parse_entry(f"{path.name}: tensor {number}", name, entry)
        for number, (name, entry) in enumerate(header.items())
    ]
    tensors: dict[str, TensorInfo] = {}
    position = 0
    for info in sorted(entries, key=lambda info: info.begin):
        if info.begin != position:
            raise TensorFileError(f"{path.name}: data overlap or have a hole at byte {position}")
        position = info.end
        tensors[info.name] = info
    if not tensors:
        raise TensorFileError(f"{path.name}: holds no tensor")
    return tensors, metadata, position


def render_header(
    schema: Schema, metadata: Mapping[str, str] | None
) -> tuple[bytes, list[tuple[str, int]]]:
    """Return (length and header bytes, [(tensor, bytes)] in file order), laid out by name."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    sizes: list[tuple[str, int]] = []
    position = 0
    for name in sorted(schema):
        dtype, shape = schema[name]
        num_bytes = int(np.prod(shape, dtype=np.int64)) * DTYPES[dtype].itemsize
        offsets = [position, position + num_bytes]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": offsets}
        sizes.append((name, num_bytes))
        position += num_bytes
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-(len(raw) + 8) % 8)
    return struct.pack("<Q", len(raw)) + raw, sizes
