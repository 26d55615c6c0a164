"""Training log and diagnostics, read as registered figures only.

No column may hold text, and none may have a name that is not registered: a log is no channel for a
node's data. What is refused is told by its kind, never by what it said. Limits on rows hold before
anything is decoded, since a small Parquet file can declare a large table.
Source of the format: Apache Parquet, through pyarrow.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from synnq_assets.errors import PrivacyError, RecordError
from synnq_assets.privacy import DIAGNOSTICS, TRAINING_LOG, Figure

MAX_ROWS = 2_000_000
MAX_FIGURE = 1e15  # beyond a petabyte in bytes; keeps sums finite and integers exact
MAX_THRIFT_BYTES = 1 << 20
MAX_THRIFT_ITEMS = 1 << 16

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TrainingLog:
    """One row per window of steps. Losses in nats per token; NaN where none is told."""

    step: Int64
    num_steps: Int64
    epoch: Int64
    shard: Int64  # place in the order's list
    tokens: Int64
    loss: Float64
    gradient_norm: Float64
    learning_rate: Float64
    tokens_per_second: Float64

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


def _verify_columns(name: str, schema: Any, registered: Mapping[str, Figure]) -> None:
    found = {field.name: _describe_type(field.type) for field in schema}
    if len(found) != len(schema):
        raise RecordError(f"{name}: a column name is repeated")
    for kind in (kind for column, kind in found.items() if column not in registered):
        raise PrivacyError(f"{name}: a {kind} column that is not registered")
    for column, figure in registered.items():
        if column not in found:
            raise RecordError(f"{name}: column {column} is missing")
        if found[column] != figure.kind:
            raise PrivacyError(
                f"{name}: column {column} is {found[column]}, expected {figure.kind}"
            )


def _open(path: Path) -> Any:
    return pq.ParquetFile(
        path,
        thrift_string_size_limit=MAX_THRIFT_BYTES,
        thrift_container_size_limit=MAX_THRIFT_ITEMS,
    )


def _read_table(path: Path, registered: Mapping[str, Figure]) -> Any:
    try:
        with _open(path) as file:
            if not 1 <= file.metadata.num_rows <= MAX_ROWS:
                raise RecordError(
                    f"{path.name}: {file.metadata.num_rows} rows; 1 to {MAX_ROWS} are read"
                )
            _verify_columns(path.name, file.schema_arrow, registered)
            return file.read(columns=list(registered), use_threads=False)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError):
        raise RecordError(f"{path.name} is not readable Parquet") from None


def _read_figures(
    name: str, table: Any, registered: Mapping[str, Figure]
) -> dict[str, npt.NDArray[Any]]:
    """Return every column; a figure that may be missing, and is, is NaN in float64."""
    figures: dict[str, npt.NDArray[Any]] = {}
    for column, figure in registered.items():
        values = table.column(column)
        told = values.drop_null()
        if len(told) < len(values) and not figure.is_optional:
            raise RecordError(f"{name}: column {column} has gaps")
        dtype = pa.int64() if figure.kind == "integer" else pa.float64()
        try:
            checked, whole = told.cast(dtype).to_numpy(), values.cast(dtype)
        except (pa.ArrowException, ValueError):
            raise RecordError(f"{name}: column {column} does not fit its type") from None
        _verify_figures(f"{name}: column {column}", checked, figure)
        is_whole = len(told) == len(values)
        figures[column] = checked if is_whole else whole.cast(pa.float64()).to_numpy()
    return figures


def _verify_figures(where: str, values: npt.NDArray[Any], figure: Figure) -> None:
    if not np.isfinite(values).all():
        raise RecordError(f"{where} holds NaN or infinity")
    if (values < 0).any():
        raise RecordError(f"{where} holds a negative figure")
    if (values > MAX_FIGURE).any():
        raise RecordError(f"{where} holds a figure above {MAX_FIGURE:.0e}")
    if figure.step and (np.mod(values, figure.step) != 0).any():
        raise PrivacyError(f"{where} is finer than steps of {figure.step:g}")


def read_training_log(path: Path) -> TrainingLog:
    """Read the training log of a submission.

    Raises:
        PrivacyError: a column that is not registered, or not of its type.
        RecordError: not Parquet, gaps, NaN, infinity, negative figures, or too many rows.
    """
    return TrainingLog(**_read_figures(path.name, _read_table(path, TRAINING_LOG), TRAINING_LOG))


def read_diagnostics(path: Path) -> dict[str, Float64]:
    """Read the diagnostics of a submission: column -> samples, NaN where there was none to take.

    Raises:
        PrivacyError, RecordError: as `read_training_log`.
    """
    return _read_figures(path.name, _read_table(path, DIAGNOSTICS), DIAGNOSTICS)


def iter_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (what it is, text) for all that a Parquet file says beside its figures.

    Raises:
        RecordError: not Parquet.
    """
    try:
        with _open(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
            yield "writer", metadata.created_by or ""
            notes = [metadata.metadata or {}, schema.metadata or {}]
            notes += [field.metadata or {} for field in schema]
            for note in notes:
                for key, value in note.items():
                    if not key.startswith(b"PARQUET:"):  # pyarrow's own, made when it reads
                        yield "note", (key + b"=" + value).decode("utf-8", "replace")
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError):
        raise RecordError(f"{path.name} is not readable Parquet") from None
