"""`synnq demo` as a person starts it, interrupts it, and looks for what it left behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from synnq_assets.compute import find_last_attempt, read_progress
from synnq_assets_tests.journeys.running import (
    PATIENCE_SECONDS,
    PATIENT_RULES,
    command_environment,
)

SYNNQ = Path(sys.executable).with_name("synnq")
RULES = {f"SYNNQ_RECIPE__ROUNDS__{name}": value for name, value in PATIENT_RULES.items()}
# The smallest model forgets in its third round what the first taught it, unless it learns slowly.
RULES["SYNNQ_RECIPE__SCHEDULE__PEAK_LEARNING_RATE"] = "0.001"


@dataclass(frozen=True)
class Ended:
    """A `synnq demo` that ended, and what still ran of it then."""

    code: int
    said: str
    left: list[str]


def list_processes(home: Path) -> list[psutil.Process]:
    """Return all processes that work for a home: daemon, code servers, runs, jobs."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = [*process.cmdline(), *process.environ().values()]
            is_ours = any(str(home) in word for word in words) and process.pid != os.getpid()
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _listen() -> None:
    """Undo what a shell does to commands in its background: they ignore Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class DemoRun:
    """One `synnq demo` that runs."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self._log = home.parent / "demo.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [SYNNQ, "demo", "--home", home, "--port", "0", *arguments],
                env=command_environment(**RULES),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_listen,
            )

    def await_(self, condition):
        """Wait for a condition that comes true while the demo runs."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (seen := condition()):
            assert self.process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.005)
        return seen

    def await_end(self) -> Ended:
        code = self.process.wait(PATIENCE_SECONDS)
        left = [f"{p.pid} {' '.join(p.cmdline())}" for p in list_processes(self.home)]
        return Ended(code, self._log.read_text(), left)

    def stop(self) -> None:
        """Leave nothing running, also where a test failed in the middle."""
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        for process in list_processes(self.home):
            with suppress(psutil.Error):
                process.kill()


@contextmanager
def demo_run(home: Path, *arguments: str):
    run = DemoRun(home, *arguments)
    try:
        yield run
    finally:
        run.stop()


def find_training(job_dir: Path) -> list[psutil.Process]:
    """Return the processes of a job that trains now."""
    attempt, progress = find_last_attempt(job_dir), read_progress(job_dir)
    if attempt is None or progress is None or progress.phase != "training":
        return []
    if progress.reported_at < attempt.started_at:
        return []
    with suppress(psutil.Error):
        return psutil.Process(attempt.find_pid() or -1).children(recursive=True)
    return []


def interrupt_while_training(run: DemoRun, assignment_id: str, number: signal.Signals) -> Ended:
    """Send a signal to the demo while a job trains.

    The smallest model trains faster than Dagster ends. So the job is held still until the demo has
    come to it, and then lives on as any other: it gets its SIGTERM in the middle of its steps.
    """
    job_dir = run.home / "jobs" / assignment_id
    held = run.await_(lambda: find_training(job_dir))
    for process in held:
        process.suspend()
    run.process.send_signal(number)
    run.await_(lambda: (job_dir / "run.1" / "suspended").exists())
    for process in reversed(held):
        process.resume()
    return run.await_end()
