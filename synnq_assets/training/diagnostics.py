"""What the host does while the job trains, sampled by a thread."""

import threading
import time
from contextlib import AbstractContextManager
from types import TracebackType

from synnq_assets.training.counters import Counters
from synnq_assets.training.logs import DiagnosticsRow

SAMPLE_SECONDS = 1.0


class Sampler(AbstractContextManager["Sampler"]):
    """Samples from the start of the block to its end, both included."""

    def __init__(
        self, counters: Counters, rows: list[DiagnosticsRow], *, offset_seconds: float
    ) -> None:
        """Continue `rows`; `offset_seconds` is what earlier attempts of the job have taken."""
        self._counters = counters
        self._rows = list(rows)
        self._begin = time.monotonic() - offset_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="diagnostics", daemon=True)

    @property
    def rows(self) -> list[DiagnosticsRow]:
        """The samples so far; a copy."""
        return list(self._rows)

    def _sample(self) -> None:
        import psutil

        row = DiagnosticsRow(
            seconds=time.monotonic() - self._begin,
            cpu_percent=float(psutil.cpu_percent()),
            memory_bytes=int(psutil.virtual_memory().used),
            gpu_percent=self._counters.read_gpu_percent(),
            gpu_watts=self._counters.read_gpu_watts(),
        )
        self._rows.append(row)

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self._sample()

    def __enter__(self) -> "Sampler":
        """Take the first sample and start the thread."""
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the thread and take the last sample."""
        self._stop.set()
        self._thread.join()
        if kind is None:
            self._sample()
