"""Training log and diagnostics as Parquet, and the metrics that sum them up.

On the node, in the payload's own checkpoints, there is a row for every step. What leaves is made of
registered figures alone (privacy/telemetry.py): steps are put together until a loss is taken of
enough sequences.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from synnq_assets.errors import TrainingError
from synnq_assets.privacy import DIAGNOSTICS as DIAGNOSTICS_FIGURES
from synnq_assets.privacy import METRICS, Figure, count_sequences, select_figures
from synnq_assets.privacy import TRAINING_LOG as LOG_FIGURES
from synnq_assets.records.orders import Order
from synnq_assets.records.submissions import TrainingMetrics
from synnq_assets.settings.recipe import Recipe
from synnq_assets.storage.files import open_atomically

TRAINING_LOG = "training_log.parquet"
DIAGNOSTICS = "diagnostics.parquet"


class LogRow(NamedTuple):
    """One optimizer step; stays on the node."""

    step: int  # from 0
    epoch: int  # from 1, within the shard
    shard: int  # place in the order's list
    tokens: int  # targets of the step, over all ranks
    loss: float  # nats per token, before the step's update
    gradient_norm: float  # global, before clipping
    learning_rate: float
    tokens_per_second: float


class LogWindow(NamedTuple):
    """Some steps of one shard in one epoch, as they leave; see the registered figures."""

    step: int
    num_steps: int
    epoch: int
    shard: int
    tokens: int
    loss: float | None
    gradient_norm: float | None
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
    LogRow: ("int64", "int64", "int64", "int64", "float64", "float64", "float64", "float64"),
    DiagnosticsRow: ("float64", "float64", "int64", "float64", "float64"),
}


def write_rows(path: Path, kind: type[R], rows: Sequence[R]) -> None:
    """Write rows as they are, into a checkpoint of the payload's own.

    Raises:
        StorageError: the disk is full or refuses; nothing is left.
    """
    _write_table(path, dict(zip(kind._fields, _TYPES[kind], strict=True)), rows)


def write_figures(
    path: Path, registered: Mapping[str, Figure], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Write what leaves the node: registered figures, and no note of who wrote them where.

    Raises:
        PrivacyError: something else is in a row; nothing is written.
        StorageError: the disk is full or refuses; nothing is left.
    """
    selected = [tuple(select_figures(registered, row).values()) for row in rows]
    types = {"integer": "int64", "floating": "float64"}
    _write_table(path, {name: types[f.kind] for name, f in registered.items()}, selected)


def _write_table(path: Path, types: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: list[Any] = list(zip(*rows, strict=True)) or [()] * len(types)
    arrays = [pa.array(values, kind) for values, kind in zip(columns, types.values(), strict=True)]
    table = pa.table(arrays, names=list(types))
    with open_atomically(path) as file:
        pq.write_table(table, file, compression="zstd", store_schema=False)


def read_rows(path: Path, kind: type[R]) -> list[R]:
    """Read rows of a checkpoint back.

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


def write_training_log(path: Path, windows: Sequence[LogWindow]) -> None:
    """Write the training log of a submission; raises as `write_figures`."""
    write_figures(path, LOG_FIGURES, [window._asdict() for window in windows])


def write_diagnostics(path: Path, rows: Sequence[DiagnosticsRow]) -> None:
    """Write the diagnostics of a submission; raises as `write_figures`."""
    write_figures(path, DIAGNOSTICS_FIGURES, [row._asdict() for row in rows])


def build_windows(rows: Sequence[LogRow], recipe: Recipe) -> list[LogWindow]:
    """Put steps together until their targets come from enough sequences for a loss to be told.

    A window holds steps of one shard in one epoch, one after the other; between them may lie those
    of other shards. What is left of an epoch goes to its last window. An epoch over a shard that is
    too small as a whole is one window without loss and gradient norm.
    """
    minimum, length = recipe.privacy.min_loss_sequences, recipe.training.sequence_tokens
    epochs: dict[tuple[int, int], list[LogRow]] = {}
    for row in rows:
        epochs.setdefault((row.shard, row.epoch), []).append(row)
    windows: list[LogWindow] = []
    for steps in epochs.values():
        groups: list[list[LogRow]] = [[]]
        for row in steps:
            groups[-1].append(row)
            if count_sequences(sum(r.tokens for r in groups[-1]), length) >= minimum:
                groups.append([])
        rest = groups.pop()
        if groups:
            groups[-1] += rest
        is_told = bool(groups)
        windows += [_sum_up(group, is_told=is_told) for group in groups or [rest]]
    return sorted(windows)  # by first step: no two have the same


def _sum_up(rows: Sequence[LogRow], *, is_told: bool) -> LogWindow:
    tokens = sum(row.tokens for row in rows)
    seconds = sum(row.tokens / row.tokens_per_second for row in rows)
    return LogWindow(
        step=rows[0].step,
        num_steps=len(rows),
        epoch=rows[0].epoch,
        shard=rows[0].shard,
        tokens=tokens,
        loss=sum(row.loss * row.tokens for row in rows) / tokens if is_told else None,
        gradient_norm=sum(row.gradient_norm for row in rows) / len(rows) if is_told else None,
        learning_rate=sum(row.learning_rate for row in rows) / len(rows),
        tokens_per_second=tokens / seconds,
    )


def build_metrics(
    order: Order,
    windows: Sequence[LogWindow],
    *,
    wall_seconds: float,
    energy_joules: float | None,
    world_size: int,
) -> TrainingMetrics:
    """Sum up a training log, from what leaves the node alone.

    Losses are plain means over the first and the last tenth of the windows that tell one (at least
    one window); tokens per second counts the time within steps alone.
    """
    losses = [window.loss for window in windows if window.loss is not None]
    norms = [(w.gradient_norm, w.num_steps) for w in windows if w.gradient_norm is not None]
    tenth = max(1, len(losses) // 10)
    num_processed = sum(window.tokens for window in windows)
    step_seconds = sum(window.tokens / window.tokens_per_second for window in windows)
    figures = {
        "num_tokens": order.num_tokens,
        "num_tokens_processed": num_processed,
        "num_steps": sum(window.num_steps for window in windows),
        "initial_loss": sum(losses[:tenth]) / tenth if losses else None,
        "final_loss": sum(losses[-tenth:]) / tenth if losses else None,
        "mean_gradient_norm": sum(x * n for x, n in norms) / sum(n for _, n in norms)
        if norms
        else None,
        "max_gradient_norm": max(x for x, _ in norms) if norms else None,
        "learning_rate_sum": sum(w.learning_rate * w.num_steps for w in windows),
        "tokens_per_second": num_processed / step_seconds,
        "wall_seconds": wall_seconds,
        "energy_joules": energy_joules,
        "world_size": world_size,
    }
    return TrainingMetrics.from_json_value(select_figures(METRICS, figures))
