"""Signals that ask a command to leave: each ends what the command started, as Ctrl-C does."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LEAVING = (signal.SIGTERM, signal.SIGHUP)  # asked to go; the terminal was closed


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def leave_on_signals() -> None:
    """Turn the signals into an ordinary exit; what is ignored already, as under nohup, stays so."""
    for number in LEAVING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within the block, a second Ctrl-C or the like does not cut the clearing up short."""
    numbers = (signal.SIGINT, *LEAVING)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
