"""What the host does while the job trains, sampled by a thread."""

import threading
import time
from contextlib import AbstractContextManager
from types import TracebackType

from synnq_assets.training.counters import Counters
from synnq_assets.training.logs import DiagnosticsRow

SAMPLE_SECONDS = 1.0
SHORT_SECONDS = 0.1  # psutil: over less than this, a processor's load is not accurate


class Sampler(AbstractContextManager["Sampler"]):
    """Samples soon after the start of the block, every second, and at its end.

    One thread takes them all: psutil gives the load since the same thread asked before, and
    answers a thread's first question with a meaningless 0.
    """

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
        import psutil

        psutil.cpu_percent()  # the question whose answer means nothing
        wait_seconds = SHORT_SECONDS
        while not self._stop.wait(wait_seconds):
            self._sample()
            wait_seconds = SAMPLE_SECONDS
        time.sleep(SHORT_SECONDS)
        self._sample()

    def __enter__(self) -> "Sampler":
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Have the last sample taken, and the thread ended."""
        self._stop.set()
        self._thread.join()
