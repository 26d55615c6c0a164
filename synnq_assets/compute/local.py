"""Jobs as detached processes on this machine; found again after the coordinator was killed.

Everything that is known about a job is in its folder: `run.lock` (it was started), `pid` (with the
process's start time, since pids are reused), `exit_code` (it ended). A supervisor of twenty lines
of shell writes them, in a session of its own.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from synnq_assets.compute.base import ComputeBackend
from synnq_assets.errors import ComputeError
from synnq_assets.records.base import now_at
from synnq_assets.records.jobs import JobHandle, JobSpec, JobState, JobStatus

SUPERVISOR = Path(__file__).with_name("supervise.sh")
START_GRACE_SECONDS = 20.0
CHECKPOINTED_EXIT_CODE = 75  # EX_TEMPFAIL: the payload saved its state and may be started again


def _is_alive(job_dir: Path) -> bool | None:
    """Return whether the supervisor lives; None when it has not written its pid yet."""
    try:
        pid, started = (job_dir / "pid").read_text().split()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None if not (job_dir / "pid").exists() else False
    return fields[19] == started and fields[0] != "Z"


class LocalBackend(ComputeBackend):
    """One detached process group a job."""

    name: ClassVar[str] = "local"

    def submit(self, spec: JobSpec) -> JobHandle:
        """Start the job unless it was started before."""
        job_dir = Path(spec.job_dir)
        if not (job_dir / "order.json").is_file():
            raise ComputeError(f"{job_dir} is not a staged job folder: it has no order.json")
        if not (job_dir / "run.lock").exists():
            try:
                subprocess.run(  # a session of its own: the job outlives this process on purpose
                    ["setsid", "--fork", "/bin/sh", str(SUPERVISOR), str(job_dir), *spec.argv],
                    cwd=job_dir,
                    env={**os.environ, **spec.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # setsid returns before its child has left our group
                    check=True,
                )
            except (OSError, subprocess.CalledProcessError) as error:
                raise ComputeError(f"cannot start {spec.assignment_id}: {error}") from error
        return JobHandle(
            assignment_id=spec.assignment_id,
            node_id=spec.node_id,
            backend=self.name,
            job_id=f"local-{spec.assignment_id}",
            job_dir=str(job_dir),
            submitted_at=now_at(),
        )

    def poll(self, handles: Sequence[JobHandle]) -> dict[str, JobStatus]:
        """Read each job's folder."""
        return {handle.assignment_id: self._poll_one(handle) for handle in handles}

    def _poll_one(self, handle: JobHandle) -> JobStatus:
        job_dir = Path(handle.job_dir)
        state: JobState
        exit_code, reason = None, ""
        is_alive = _is_alive(job_dir)
        exit_file = job_dir / "exit_code"
        if exit_file.exists():
            exit_code = int(exit_file.read_text())
            state = "succeeded" if exit_code == 0 else "failed"
            reason = _describe_exit(job_dir, exit_code)
        elif is_alive:
            state = "running"
        elif is_alive is None:
            age_seconds = (now_at() - handle.submitted_at).total_seconds()
            state = "pending" if age_seconds < START_GRACE_SECONDS else "lost"
            reason = "" if state == "pending" else "it never started"
        else:
            state, reason = "lost", "its process is gone and left no exit code"
        return JobStatus(
            job_id=handle.job_id,
            state=state,
            exit_code=exit_code,
            reason=reason,
            observed_at=now_at(),
        )

    def cancel(self, handle: JobHandle, *, grace_seconds: float = 10.0) -> None:
        """Send SIGTERM to the supervisor, and SIGKILL to its whole group after a grace."""
        job_dir = Path(handle.job_dir)
        if not _is_alive(job_dir):
            return
        pid = int((job_dir / "pid").read_text().split()[0])
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + grace_seconds
            while _is_alive(job_dir) and time.monotonic() < deadline:
                time.sleep(0.05)
            if _is_alive(job_dir):
                os.killpg(pid, signal.SIGKILL)

    def fetch(self, handle: JobHandle) -> Path:
        """Return the job's own submission folder."""
        folder = Path(handle.job_dir) / "submission"
        if not (folder / "submission.json").is_file():
            raise ComputeError(f"job {handle.job_id} left no submission in {folder}")
        return folder


def _describe_exit(job_dir: Path, exit_code: int) -> str:
    if exit_code == 0:
        return ""
    if exit_code == CHECKPOINTED_EXIT_CODE:
        return "it checkpointed and asks to be started again"
    if exit_code > 128:
        return f"ended by {signal.Signals(exit_code - 128).name}"
    lines = (job_dir / "stderr.log").read_text(errors="replace").strip().splitlines()
    return f"exit code {exit_code}: {lines[-1][:300] if lines else 'no message'}"
