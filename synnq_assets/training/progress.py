"""The progress file: one `Progress` record, replaced whole at each report."""

import math
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

from synnq_assets.errors import RecordError, StorageError, SynnqError
from synnq_assets.records.base import now_at
from synnq_assets.records.identifiers import parse_assignment_id
from synnq_assets.records.jobs import Progress
from synnq_assets.storage.files import write_atomically

Phase = Literal["verifying", "opening", "training", "writing", "done", "failed"]
MAX_MESSAGE_CHARACTERS = 500


class Reporter:
    """Writes reports of one assignment; silent on other ranks than the first."""

    def __init__(self, path: Path, assignment_id: str | None, *, is_enabled: bool) -> None:
        """Prepare. Without a well-formed assignment id nothing is ever written."""
        self.every_seconds = 1.0  # between two reports of the training loop
        self._path = path
        self._assignment_id = assignment_id or ""
        self._is_enabled = is_enabled and _is_assignment_id(assignment_id)
        self._step, self._num_steps = 0, 0
        self._loss: float | None = None
        self._tokens_per_second: float | None = None
        self._last_report = -math.inf

    def report_phase(self, phase: Phase, message: str) -> None:
        """Write a report now; figures of the training loop are kept."""
        if not self._is_enabled:
            return
        record = Progress(
            assignment_id=self._assignment_id,
            phase=phase,
            step=self._step,
            num_steps=self._num_steps,
            loss=self._loss,
            tokens_per_second=self._tokens_per_second,
            message=message[:MAX_MESSAGE_CHARACTERS],
            reported_at=now_at(),
        )
        self._last_report = time.monotonic()
        with suppress(StorageError):  # a full disk must stop what matters, not this report
            write_atomically(self._path, record.canonical_bytes())

    def report_step(
        self, step: int, num_steps: int, *, loss: float, tokens_per_second: float
    ) -> None:
        """Note a finished step; write only if the last report is `every_seconds` old."""
        self._step, self._num_steps = step, num_steps
        self._loss = loss if math.isfinite(loss) else None
        self._tokens_per_second = tokens_per_second if tokens_per_second > 0 else None
        if time.monotonic() - self._last_report >= self.every_seconds:
            self.report_phase("training", "training")

    def report_failure(self, error: BaseException) -> None:
        """Report a failure by class. An unforeseen error's own text could quote data: it stays."""
        text = str(error) if isinstance(error, SynnqError) else "unforeseen; see the job's own log"
        self.report_phase("failed", f"{type(error).__name__}: {text}")


def _is_assignment_id(text: str | None) -> bool:
    try:
        parse_assignment_id(text or "")
    except RecordError:
        return False
    return True
