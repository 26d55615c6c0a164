"""Training log and diagnostics, read as figures only.

No column may hold text, except the shard id: a log is no channel for a node's data. Limits on
rows hold before anything is decoded, since a small Parquet file can declare a large table.
Source of the format: Apache Parquet, through pyarrow.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from synnq_assets.errors import RecordError

MAX_ROWS = 2_000_000
MAX_FIGURE = 1e15  # beyond a petabyte in bytes; keeps sums finite and integers exact
MAX_THRIFT_BYTES = 1 << 20
MAX_THRIFT_ITEMS = 1 << 16
LOG_COLUMNS = {
    "step": "integer",
    "epoch": "integer",
    "shard_id": "text",
    "tokens": "integer",
    "loss": "floating",
    "gradient_norm": "floating",
    "learning_rate": "floating",
    "tokens_per_second": "floating",
}
DIAGNOSTICS_COLUMNS = {
    "seconds": "floating",
    "cpu_percent": "floating",
    "memory_bytes": "integer",
    "gpu_percent": "floating",
    "gpu_watts": "floating",
}

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TrainingLog:
    """One row per optimizer step. Losses in nats per token."""

    step: Int64
    epoch: Int64
    tokens: Int64
    loss: Float64
    gradient_norm: Float64
    learning_rate: Float64
    tokens_per_second: Float64
    shard: Int64  # index into shard_ids
    shard_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.step)


def _describe_type(kind: Any) -> str:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind):
        return "floating"
    return "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else "other"


def _verify_columns(name: str, schema: Any, columns: dict[str, str]) -> None:
    found = {field.name: _describe_type(field.type) for field in schema}
    if len(found) != len(schema):
        raise RecordError(f"{name}: a column name is repeated")
    for column in sorted(found.keys() | columns.keys()):
        if column not in columns:
            kind = found[column]
            raise RecordError(f"{name}: unexpected {kind} column {column[:40]!r}")
        if column not in found:
            raise RecordError(f"{name}: column {column} is missing")
        if found[column] != columns[column]:
            raise RecordError(
                f"{name}: column {column} is {found[column]}, expected {columns[column]}"
            )


def _read_table(path: Path, columns: dict[str, str]) -> Any:
    text_columns = [column for column, kind in columns.items() if kind == "text"]
    try:
        with pq.ParquetFile(
            path,
            read_dictionary=text_columns,
            thrift_string_size_limit=MAX_THRIFT_BYTES,
            thrift_container_size_limit=MAX_THRIFT_ITEMS,
        ) as file:
            if not 1 <= file.metadata.num_rows <= MAX_ROWS:
                raise RecordError(
                    f"{path.name}: {file.metadata.num_rows} rows; 1 to {MAX_ROWS} are read"
                )
            _verify_columns(path.name, file.schema_arrow, columns)
            return file.read(columns=list(columns), use_threads=False)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise RecordError(f"{path.name} is not readable Parquet: {str(error)[:200]}") from error


def _read_figures(
    name: str, table: Any, columns: dict[str, str], *, may_lack: frozenset[str]
) -> dict[str, npt.NDArray[Any]]:
    figures: dict[str, npt.NDArray[Any]] = {}
    for column, kind in columns.items():
        if kind == "text":
            continue
        values = table.column(column).drop_null() if column in may_lack else table.column(column)
        if values.null_count:
            raise RecordError(f"{name}: column {column} has gaps")
        dtype = pa.int64() if kind == "integer" else pa.float64()
        try:
            figures[column] = values.cast(dtype).to_numpy()
        except (pa.ArrowException, ValueError) as error:
            raise RecordError(f"{name}: column {column}: {str(error)[:200]}") from error
        if not np.isfinite(figures[column]).all():
            raise RecordError(f"{name}: column {column} holds NaN or infinity")
        if (figures[column] < 0).any():
            raise RecordError(f"{name}: column {column} holds a negative figure")
        if (figures[column] > MAX_FIGURE).any():
            raise RecordError(f"{name}: column {column} holds a figure above {MAX_FIGURE:.0e}")
    return figures


def read_training_log(path: Path) -> TrainingLog:
    """Read the training log of a submission.

    Raises:
        RecordError: not Parquet, other columns than expected, gaps, NaN, infinity, negative
            figures, or too many rows.
    """
    table = _read_table(path, LOG_COLUMNS)
    figures = _read_figures(path.name, table, LOG_COLUMNS, may_lack=frozenset())
    shard, shard_ids = _read_shards(path.name, table.column("shard_id"))
    return TrainingLog(**figures, shard=shard, shard_ids=shard_ids)


def _read_shards(name: str, column: Any) -> tuple[Int64, tuple[str, ...]]:
    """Return (index of each row, the texts); no text is repeated in memory."""
    if column.null_count:
        raise RecordError(f"{name}: column shard_id has gaps")
    try:
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        chunks = column.unify_dictionaries().chunks
        rows = np.concatenate([chunk.indices.to_numpy() for chunk in chunks]).astype(np.int64)
        return rows, tuple(chunks[0].dictionary.to_pylist())
    except (pa.ArrowException, ValueError) as error:
        raise RecordError(f"{name}: column shard_id is not readable text") from error


def read_diagnostics(path: Path) -> dict[str, Float64]:
    """Read the diagnostics of a submission: column -> samples; unavailable samples are left out.

    Raises:
        RecordError: as `read_training_log`.
    """
    table = _read_table(path, DIAGNOSTICS_COLUMNS)
    may_lack = frozenset({"cpu_percent", "gpu_percent", "gpu_watts", "memory_bytes"})
    return _read_figures(path.name, table, DIAGNOSTICS_COLUMNS, may_lack=may_lack)
