"""Tiny checkpoints and candidates for the tests of this room."""

from pathlib import Path

import numpy as np

from synnq_assets.aggregation import Candidate, PinnedFile
from synnq_assets.records.base import sha256_hex
from synnq_assets.storage.files import describe_file
from synnq_assets.storage.tensors import TensorFile, TensorWriter, float32_to_bf16


def write_tensors(path: Path, tensors: dict, *, dtype: str = "F32", metadata=None) -> Path:
    arrays = {name: np.asarray(values, dtype=np.float32) for name, values in tensors.items()}
    schema = {name: (dtype, values.shape) for name, values in arrays.items()}
    with TensorWriter(path, schema, metadata or {"format": "pt"}) as writer:
        for name in sorted(arrays):
            values = arrays[name]
            writer.append(name, float32_to_bf16(values) if dtype == "BF16" else values)
    return path


def read_tensors(path: Path) -> dict:
    with TensorFile(path) as file:
        return {
            name: file.read_float32(name).reshape(info.shape) for name, info in file.tensors.items()
        }


def pin(path: Path) -> PinnedFile:
    """A file as it stands; one that is missing gets a digest that nothing has."""
    return PinnedFile(path, describe_file(path).sha256 if path.exists() else "0" * 64)


def make_candidate(folder: Path, name: str, tensors: dict, *, dtype="BF16", **changes) -> Candidate:
    """A candidate whose digest, and so whose place, follows from its name."""
    fields = {
        "node_id": name,
        "assignment_id": f"r0001.{name}.1",
        "submission_sha256": sha256_hex(name.encode()),
        "update": pin(write_tensors(folder / f"{name}.safetensors", tensors, dtype=dtype)),
        "num_tokens": 1000,
        "cell_tokens": {"de.law": 1000},
        "score": 1.0,
        "staleness_rounds": 0,
        "age_seconds": 0.0,
    }
    return Candidate(**{**fields, **changes})
