"""Signals that ask for a checkpoint: SIGTERM, and SIGUSR1 as Slurm's `--signal` sends it.

A handler only raises a flag. The loop looks at it between two steps, all ranks together, since a
signal reaches them at different moments.
"""

import signal
import threading
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import Any

from synnq_assets.errors import TrainingError

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class RequeueError(TrainingError):
    """The job was asked to stop and saved a checkpoint; start it again to go on."""

    is_transient = True


class StopFlag(AbstractContextManager["StopFlag"]):
    """Within the block, the signals set `is_raised`; after it, they mean what they meant before."""

    def __init__(self) -> None:
        self.is_raised = False
        self._previous: dict[signal.Signals, Any] = {}

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.is_raised = True

    def __enter__(self) -> "StopFlag":
        """Take over the signals, if this is the main thread; only that one may."""
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._raise) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
