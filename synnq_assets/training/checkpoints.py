"""The payload's own checkpoints: to go on after a crash, a signal or a time limit.

`work/step-00000050/` holds the parallelism's state, the log so far, and `state.json`. It is written
as `work/.writing` and renamed, and only then is the one before removed: whatever happens, the last
complete checkpoint stays.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import NonNegativeFloat, PositiveInt

from synnq_assets.errors import RecordError, StorageError, TrainingError
from synnq_assets.records.base import Record, UtcTime
from synnq_assets.records.identifiers import Sha256
from synnq_assets.storage.files import sync_folder, write_atomically
from synnq_assets.training.logs import (
    DIAGNOSTICS,
    TRAINING_LOG,
    DiagnosticsRow,
    LogRow,
    read_rows,
    write_rows,
)
from synnq_assets.training.parallel import Strategy
from synnq_assets.training.ranks import Ranks

STATE_FILE = "state.json"
STRATEGY_DIR = "strategy"


class CheckpointState(Record):
    """What a checkpoint belongs to, and how far it is."""

    kind: ClassVar[str] = "payload-checkpoint"

    order_sha256: Sha256
    parallelism: str
    world_size: PositiveInt
    step: PositiveInt  # steps done
    started_at: UtcTime  # of the first attempt
    wall_seconds: NonNegativeFloat  # over all attempts
    energy_joules: NonNegativeFloat | None


@dataclass
class RunState:
    """How far the training is."""

    started_at: UtcTime
    rows: list[LogRow] = field(default_factory=list)  # one per step done
    diagnostics: list[DiagnosticsRow] = field(default_factory=list)
    wall_seconds: float = 0.0
    energy_joules: float | None = 0.0

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.rows)


class CheckpointStore:
    """Checkpoints of one order in a work folder that all ranks share."""

    def __init__(self, work_dir: Path, order_sha256: str, strategy: Strategy, ranks: Ranks) -> None:
        self._work_dir = work_dir
        self._order_sha256 = order_sha256
        self._strategy = strategy
        self._ranks = ranks

    def _on_first(self, action: Callable[[], None]) -> None:
        """Run on the first rank; all others wait."""
        if self._ranks.is_first:
            action()
        self._ranks.wait()

    def save(self, state: RunState) -> None:
        """Write a checkpoint of the current step; every rank must call.

        Raises:
            TrainingError: the disk is full or refuses. The checkpoint before is intact: make room
                and start the job again.
        """
        partial = self._work_dir / ".writing"
        final = self._work_dir / f"step-{state.step:08d}"
        if final.exists():
            return
        try:
            self._on_first(lambda: _make_empty(partial / STRATEGY_DIR, partial))
            self._strategy.save(partial / STRATEGY_DIR)
            self._ranks.wait()
            self._on_first(lambda: self._complete(partial, final, state))
        except (OSError, RuntimeError, StorageError) as error:
            if self._ranks.is_first:
                shutil.rmtree(partial, ignore_errors=True)
            raise TrainingError(
                f"cannot write a checkpoint at step {state.step} in {self._work_dir} "
                f"({_first_line(error)}); the one before is intact: make room and start again"
            ) from error

    def _complete(self, partial: Path, final: Path, state: RunState) -> None:
        write_rows(partial / TRAINING_LOG, LogRow, state.rows)
        write_rows(partial / DIAGNOSTICS, DiagnosticsRow, state.diagnostics)
        record = CheckpointState(
            order_sha256=self._order_sha256,
            parallelism=self._strategy.name,
            world_size=self._ranks.world_size,
            step=state.step,
            started_at=state.started_at,
            wall_seconds=state.wall_seconds,
            energy_joules=state.energy_joules,
        )
        write_atomically(partial / STATE_FILE, record.canonical_bytes())
        partial.rename(final)
        sync_folder(self._work_dir)
        for older in self._find_complete():
            if older != final:
                shutil.rmtree(older, ignore_errors=True)

    def _find_complete(self) -> list[Path]:
        return sorted(self._work_dir.glob("step-*"))

    def load_latest(self) -> RunState | None:
        """Put the parallelism into the state of the last checkpoint, and return the rest of it.

        Returns:
            None where there is none, or only one of another order, parallelism or (where the
            parallelism cannot spread it anew) number of ranks: the order then starts anew.

        Raises:
            TrainingError: the checkpoint is damaged; remove the work folder to start anew.
        """
        complete = self._find_complete()
        if not complete:
            return None
        folder = complete[-1]
        try:
            record = CheckpointState.parse((folder / STATE_FILE).read_bytes())
            if not self._fits(record):
                return None
            self._strategy.load(folder / STRATEGY_DIR)
            rows = read_rows(folder / TRAINING_LOG, LogRow)
            diagnostics = read_rows(folder / DIAGNOSTICS, DiagnosticsRow)
            if len(rows) != record.step:
                raise TrainingError(f"its log has {len(rows)} of {record.step} steps")
        except (OSError, RuntimeError, KeyError, RecordError, TrainingError) as error:
            raise TrainingError(
                f"checkpoint {folder} is damaged ({_first_line(error)}); "
                f"remove {self._work_dir} to start this order anew"
            ) from error
        return RunState(
            record.started_at, rows, diagnostics, record.wall_seconds, record.energy_joules
        )

    def _fits(self, record: CheckpointState) -> bool:
        return (
            record.order_sha256 == self._order_sha256
            and record.parallelism == self._strategy.name
            and (self._strategy.reshards or record.world_size == self._ranks.world_size)
        )


def _make_empty(folder: Path, above: Path) -> None:
    shutil.rmtree(above, ignore_errors=True)
    folder.mkdir(parents=True)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
