"""Jobs as detached processes on this machine; found again after the coordinator was killed.

Everything that is known about a job is in its folder: `job.json` (what was asked for), one `run.N`
for each attempt (see attempts.py), and `cancelled`. A supervisor of thirty lines of shell, in a
session of its own, runs one attempt, writes down how it ended, and holds it to its time limit.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from synnq_assets.compute.attempts import Attempt, end_attempts, find_last_attempt
from synnq_assets.compute.base import ComputeBackend
from synnq_assets.errors import ComputeError, SynnqError
from synnq_assets.privacy import find_failure_code
from synnq_assets.records.base import now_at
from synnq_assets.records.jobs import TERMINAL_STATES, JobHandle, JobSpec, JobState, JobStatus
from synnq_assets.storage.files import write_atomically

SUPERVISOR = Path(__file__).with_name("supervise.sh")
SPEC_FILE = "job.json"
CANCELLED_FILE = "cancelled"
START_GRACE_SECONDS = 20.0
CHECKPOINTED_EXIT_CODE = 75  # EX_TEMPFAIL: the payload saved its state and may be started again
OVERRUN_EXIT_CODES = (124, 137)  # of timeout(1): ended, or killed, at the time limit
SLACK_SECONDS = 5.0  # between what timeout(1) and the files say about a job's start
MAX_ATTEMPTS = 10
LAST_BYTES = 4096  # of what a job printed


@dataclass(frozen=True)
class _Seen:
    """Where a job stands, from its folder alone."""

    state: JobState
    reason: str = ""
    exit_code: int | None = None
    is_restartable: bool = False


class LocalBackend(ComputeBackend):
    """One detached process group a job. There is no scheduler: `poll` is what starts jobs again."""

    name: ClassVar[str] = "local"

    def submit(self, spec: JobSpec) -> JobHandle:
        """Start the job unless it was started before."""
        job_dir = Path(spec.job_dir)
        if not (job_dir / "order.json").is_file():
            raise ComputeError(f"{job_dir} is not a staged job folder: it has no order.json")
        if find_last_attempt(job_dir) is None:
            write_atomically(job_dir / SPEC_FILE, spec.canonical_bytes())
            _start(spec, 1)
        return JobHandle(
            assignment_id=spec.assignment_id,
            node_id=spec.node_id,
            backend=self.name,
            job_id=f"local-{spec.assignment_id}",
            job_dir=str(job_dir),
            submitted_at=now_at(),
        )

    def poll(self, handles: Sequence[JobHandle]) -> dict[str, JobStatus]:
        """Read each job's folder; start again what asks for it."""
        return {handle.assignment_id: self._poll_one(handle) for handle in handles}

    def _poll_one(self, handle: JobHandle) -> JobStatus:
        try:
            return self._advance(handle)
        except (OSError, ValueError, SynnqError) as error:  # one damaged folder stops no other
            return JobStatus(
                job_id=handle.job_id,
                state="unknown",
                exit_code=None,
                reason=f"cannot tell from its folder: {type(error).__name__}",
                observed_at=now_at(),
            )

    def _advance(self, handle: JobHandle) -> JobStatus:
        attempt = find_last_attempt(Path(handle.job_dir))
        seen = _look(handle, attempt)
        if attempt is not None and seen.is_restartable:
            spec = JobSpec.parse((Path(handle.job_dir) / SPEC_FILE).read_bytes())
            _start(spec, attempt.number + 1)
        return JobStatus(
            job_id=handle.job_id,
            state=seen.state,
            exit_code=seen.exit_code,
            reason=seen.reason,
            observed_at=now_at(),
            started_at=attempt.started_at if attempt else None,
        )

    def cancel(self, handle: JobHandle, *, grace_seconds: float = 10.0) -> None:
        """Send SIGTERM to the payload, and SIGKILL to its whole group after a grace."""
        job_dir = Path(handle.job_dir)
        if _look(handle, find_last_attempt(job_dir)).state in TERMINAL_STATES:
            return
        (job_dir / CANCELLED_FILE).touch()
        attempt = find_last_attempt(job_dir)  # one that comes later finds the file, and leaves
        if attempt is not None:
            end_attempts([attempt], grace_seconds=grace_seconds)

    def fetch(self, handle: JobHandle) -> Path:
        """Return the job's own submission folder."""
        folder = Path(handle.job_dir) / "submission"
        if not (folder / "submission.json").is_file():
            raise ComputeError(f"job {handle.job_id} left no submission in {folder}")
        return folder


def _start(spec: JobSpec, number: int) -> None:
    command = [str(SUPERVISOR), spec.job_dir, str(number), str(spec.walltime_seconds), *spec.argv]
    try:
        subprocess.run(  # a session of its own: the job outlives this process on purpose
            ["setsid", "--fork", "/bin/sh", *command],
            cwd=spec.job_dir,
            env={**os.environ, **spec.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # also what `setsid` has yet to fork must outlive this process
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ComputeError(f"cannot start {spec.assignment_id}: {error}") from error


def _look(handle: JobHandle, attempt: Attempt | None) -> _Seen:
    is_running = attempt is not None and attempt.find_pid() is not None
    # In this order: a process that has gone wrote its exit code before.
    if attempt is not None and (ended := attempt.find_exit()) is not None:
        return _describe_exit(attempt, *ended)
    if is_running:
        return _Seen("running")
    if attempt is not None and (attempt.folder / "pid").exists():
        return _describe_end(attempt, _Seen("lost", "its process is gone and left no exit code"))
    begun_at = attempt.started_at if attempt else handle.submitted_at
    if (now_at() - begun_at).total_seconds() < START_GRACE_SECONDS:
        return _Seen("pending")
    return _Seen("lost", "it never started")


def _describe_exit(attempt: Attempt, code: int, seconds: float) -> _Seen:
    if code == 0:
        return _Seen("succeeded", exit_code=0)
    # What the job printed stays in its folder, but for the code that the payload ends with.
    reason = f"exit code {code}: {_read_failure(attempt) or 'no code; see its own log'}"
    if code in {128 + number for number in signal.Signals}:
        reason = f"ended by {signal.Signals(code - 128).name}"
    if code in OVERRUN_EXIT_CODES:
        spec = JobSpec.parse((attempt.folder.parent / SPEC_FILE).read_bytes())
        if seconds + SLACK_SECONDS >= spec.walltime_seconds:
            reason = f"it ran past its time limit of {spec.walltime_seconds} s"
    return _describe_end(attempt, _Seen("failed", reason, code))


def _read_failure(attempt: Attempt) -> str | None:
    log = attempt.folder / "stderr.log"
    if not log.exists():
        return None
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_BYTES))
        return find_failure_code(file.read(LAST_BYTES).decode("ascii", "replace"))


def _describe_end(attempt: Attempt, seen: _Seen) -> _Seen:
    """Return how an attempt without a submission counts: cancelled, to be started again, as is."""
    if (attempt.folder.parent / CANCELLED_FILE).exists():
        return _Seen("cancelled", "it was cancelled", seen.exit_code)
    if not attempt.is_suspended and seen.exit_code != CHECKPOINTED_EXIT_CODE:
        return seen
    if attempt.number >= MAX_ATTEMPTS:
        return _Seen("failed", f"it stopped unfinished {MAX_ATTEMPTS} times", seen.exit_code)
    reason = "it stopped before its end, and is started again"
    return _Seen("pending", reason, seen.exit_code, is_restartable=True)
