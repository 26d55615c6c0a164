"""Training log and diagnostics as Parquet, and the metrics that sum them up.

Rows hold figures only: no text, no token id, no figure of a single document.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from synnq_assets.errors import TrainingError
from synnq_assets.records.orders import Order
from synnq_assets.records.submissions import TrainingMetrics
from synnq_assets.storage.files import open_atomically

TRAINING_LOG = "training_log.parquet"
DIAGNOSTICS = "diagnostics.parquet"


class LogRow(NamedTuple):
    """One optimizer step."""

    step: int  # from 0
    epoch: int  # from 1, within the shard
    shard_id: str
    tokens: int  # targets of the step, over all ranks
    loss: float  # nats per token, before the step's update
    gradient_norm: float  # global, before clipping
    learning_rate: float
    tokens_per_second: float


class DiagnosticsRow(NamedTuple):
    """One sample of the first rank's host; None where the machine does not offer the figure."""

    seconds: float  # since the job first started, without the time between two attempts
    cpu_percent: float  # of all cores of the host, 0 to 100
    memory_bytes: int  # in use on the host
    gpu_percent: float | None  # mean over accelerators
    gpu_watts: float | None  # sum over accelerators


R = TypeVar("R", LogRow, DiagnosticsRow)
_TYPES = {
    LogRow: ("int64", "int64", "string", "int64", "float64", "float64", "float64", "float64"),
    DiagnosticsRow: ("float64", "float64", "int64", "float64", "float64"),
}


def write_rows(path: Path, kind: type[R], rows: Sequence[R]) -> None:
    """Write rows as Parquet, columns in the order of the fields.

    Raises:
        StorageError: the disk is full or refuses; nothing is left.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: list[Any] = list(zip(*rows, strict=True)) or [()] * len(kind._fields)
    arrays = [pa.array(column, dtype) for column, dtype in zip(columns, _TYPES[kind], strict=True)]
    with open_atomically(path) as file:
        pq.write_table(pa.table(arrays, names=list(kind._fields)), file, compression="zstd")


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """Read rows back.

    Raises:
        TrainingError: not such a file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        if tuple(table.column_names) != kind._fields:
            raise TrainingError(f"{path} has other columns than expected")
        return [kind(**row) for row in table.to_pylist()]
    except (OSError, pa.ArrowException) as error:
        raise TrainingError(f"cannot read {path}: {error}") from error


def build_metrics(
    order: Order,
    rows: Sequence[LogRow],
    *,
    wall_seconds: float,
    energy_joules: float | None,
    world_size: int,
) -> TrainingMetrics:
    """Sum up a training log.

    Losses are plain means over the first and the last tenth of the steps (at least one step);
    tokens per second counts the time within steps alone.
    """
    tenth = max(1, len(rows) // 10)
    num_processed = sum(row.tokens for row in rows)
    step_seconds = sum(row.tokens / row.tokens_per_second for row in rows)
    norms = [row.gradient_norm for row in rows]
    return TrainingMetrics(
        num_tokens=order.num_tokens,
        num_tokens_processed=num_processed,
        num_steps=len(rows),
        initial_loss=sum(row.loss for row in rows[:tenth]) / tenth,
        final_loss=sum(row.loss for row in rows[-tenth:]) / tenth,
        mean_gradient_norm=sum(norms) / len(norms),
        max_gradient_norm=max(norms),
        learning_rate_sum=sum(row.learning_rate for row in rows),
        tokens_per_second=num_processed / step_seconds,
        wall_seconds=wall_seconds,
        energy_joules=energy_joules,
        world_size=world_size,
    )
