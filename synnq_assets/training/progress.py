"""The progress file: one `Progress` record, replaced whole at each report; no text in it."""

import math
import time
from contextlib import suppress
from pathlib import Path

from synnq_assets.errors import RecordError, StorageError
from synnq_assets.privacy import build_failure_code, count_sequences
from synnq_assets.records.base import now_at
from synnq_assets.records.identifiers import parse_assignment_id
from synnq_assets.records.jobs import Phase, Progress
from synnq_assets.settings.recipe import Recipe
from synnq_assets.storage.files import write_atomically


class Reporter:
    """Writes reports of one assignment; silent on other ranks than the first."""

    def __init__(self, path: Path, assignment_id: str | None, *, is_enabled: bool) -> None:
        """Prepare. Without a well-formed assignment id nothing is ever written."""
        self.every_seconds = 1.0  # between two reports of the training loop
        self._path = path
        self._assignment_id = assignment_id or ""
        self._is_enabled = is_enabled and _is_assignment_id(assignment_id)
        self._step, self._num_steps = 0, 0
        self._losses = _LossMean(1, 1)
        self._tokens_per_second: float | None = None
        self._last_report = -math.inf

    def follow(self, recipe: Recipe) -> None:
        """Report as often, and losses as coarse, as a recipe says."""
        self.every_seconds = recipe.training.report_every_seconds
        self._losses = _LossMean(recipe.privacy.min_loss_sequences, recipe.training.sequence_tokens)

    def report(self, phase: Phase, *, failure: str | None = None) -> None:
        """Write a report now; figures of the training loop are kept."""
        if not self._is_enabled:
            return
        record = Progress(
            assignment_id=self._assignment_id,
            phase=phase,
            step=self._step,
            num_steps=self._num_steps,
            loss=self._losses.told,
            tokens_per_second=self._tokens_per_second,
            failure=failure,
            reported_at=now_at(),
        )
        self._last_report = time.monotonic()
        with suppress(StorageError):  # a full disk must stop what matters, not this report
            write_atomically(self._path, record.canonical_bytes())

    def report_step(
        self, step: int, num_steps: int, *, loss: float, tokens: int, tokens_per_second: float
    ) -> None:
        """Note a finished step; write only if the last report is `every_seconds` old."""
        self._step, self._num_steps = step, num_steps
        self._losses.add(loss, tokens)
        self._tokens_per_second = tokens_per_second if tokens_per_second > 0 else None
        if time.monotonic() - self._last_report >= self.every_seconds:
            self.report("training")

    def report_failure(self, error: BaseException) -> None:
        """Report a failure by its code: the error's own text could quote data, and stays here."""
        self.report("failed", failure=build_failure_code(error))


class _LossMean:
    """The mean loss of the last steps that together come from enough sequences."""

    def __init__(self, min_sequences: int, sequence_tokens: int) -> None:
        self.told: float | None = None
        self._min_sequences, self._sequence_tokens = min_sequences, sequence_tokens
        self._sum, self._tokens = 0.0, 0

    def add(self, loss: float, tokens: int) -> None:
        if not math.isfinite(loss):
            return
        self._sum += loss * tokens
        self._tokens += tokens
        if count_sequences(self._tokens, self._sequence_tokens) >= self._min_sequences:
            self.told = self._sum / self._tokens
            self._sum, self._tokens = 0.0, 0


def _is_assignment_id(text: str | None) -> bool:
    try:
        parse_assignment_id(text or "")
    except RecordError:
        return False
    return True
