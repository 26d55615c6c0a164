"""Attempts at a job: each start has a folder of its own, `run.1`, `run.2`, … in the job's folder.

    pid          the supervisor's pid and start time: pids are reused, pairs of both are not
    exit_code    the payload ended, and how
    suspended    it was asked to stop, and the job is to be started again
    stdout.log, stderr.log

Nothing in it changes once it is written, so any process can tell at any time where a job stands.
"""

import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

KILL_SECONDS = 5.0  # until a killed process is gone
PID_SECONDS = 1.0  # between the folder and the pid lie a few milliseconds of shell


@dataclass(frozen=True)
class Attempt:
    """One start of a job."""

    folder: Path
    number: int

    @property
    def started_at(self) -> datetime:
        """When it was started, UTC."""
        path = self.folder / "pid"
        return datetime.fromtimestamp((path if path.exists() else self.folder).stat().st_mtime, UTC)

    @property
    def is_suspended(self) -> bool:
        """Whether it was asked to stop for a while."""
        return (self.folder / "suspended").exists()

    def find_exit(self) -> tuple[int, float] | None:
        """Return (exit code, seconds that it ran); None while there is none."""
        path = self.folder / "exit_code"
        try:
            code, ended = int(path.read_text()), path.stat().st_mtime
        except FileNotFoundError:
            return None
        return code, ended - self.started_at.timestamp()

    def find_pid(self) -> int | None:
        """Return the supervisor's pid while it lives; its process group has the same number.

        A process that was given the same pid later is another one, and is not returned.
        """
        try:
            pid, started = (self.folder / "pid").read_text().split()
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return int(pid) if fields[19] == started and fields[0] != "Z" else None

    def await_pid(self) -> int | None:
        """Return the supervisor's pid while it lives; one that is just starting is waited for."""
        deadline = time.monotonic() + PID_SECONDS
        while not (self.folder / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.find_pid()

    def kill(self) -> bool:
        """Send SIGKILL to everything that it started; return whether it still ran."""
        pid = self.await_pid()
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        return True


def find_last_attempt(job_dir: Path) -> Attempt | None:
    """Return a job's newest attempt; None where it was never started."""
    numbers = [int(path.suffix[1:]) for path in job_dir.glob("run.*") if path.suffix[1:].isdigit()]
    return Attempt(job_dir / f"run.{max(numbers)}", max(numbers)) if numbers else None


def end_attempts(attempts: Iterable[Attempt], *, grace_seconds: float) -> None:
    """Ask all to end (payloads checkpoint), and kill those that still run after the grace."""
    running = [attempt for attempt in attempts if _ask_to_end(attempt)]
    _await_ends(running, grace_seconds)
    for attempt in running:
        attempt.kill()
    _await_ends(running, KILL_SECONDS)


def _ask_to_end(attempt: Attempt) -> bool:
    pid = attempt.await_pid()
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    return pid is not None


def _await_ends(attempts: Sequence[Attempt], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(attempt.find_pid() for attempt in attempts) and time.monotonic() < deadline:
        time.sleep(0.05)


def suspend_jobs(job_dirs: Iterable[Path], *, grace_seconds: float = 20.0) -> None:
    """Stop every job that runs. The next poll starts each again, from its own checkpoint."""
    attempts = list(_iter_running(job_dirs))
    for attempt in attempts:
        (attempt.folder / "suspended").touch()
    end_attempts(attempts, grace_seconds=grace_seconds)


def _iter_running(job_dirs: Iterable[Path]) -> Iterator[Attempt]:
    for job_dir in job_dirs:
        attempt = find_last_attempt(job_dir)
        if attempt is not None and attempt.await_pid() is not None:
            yield attempt
