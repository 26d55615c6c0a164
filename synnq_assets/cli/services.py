"""The Dagster daemon and web server of a home, as child processes of one command.

Beside them, a small web server for Data Docs.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType

import synnq_assets
from synnq_assets.cli.data_docs import plan_data_docs_server
from synnq_assets.cli.runs import announce_stop, close_stopped_runs
from synnq_assets.cli.signals import undisturbed
from synnq_assets.errors import SettingsError, SynnqError
from synnq_assets.settings import DATA_DOCS_URL
from synnq_assets.trust import Home

START_SECONDS = 90.0
STOP_SECONDS = 20.0
MAX_RUNS = 4  # as in dagster.yaml
POOL_LIMITS = {"submit": MAX_RUNS}  # other pools have the default of dagster.yaml
PACKAGE = Path(synnq_assets.__file__).parent


def find_port(wanted: int) -> int:
    """Return `wanted` if it is free on loopback, else some free port."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise SettingsError("no free port on 127.0.0.1")


def write_instance(home: Home) -> dict[str, str]:
    """Write the instance's configuration into the home; return the children's environment."""
    folder = home.path / "dagster"
    cpus = os.cpu_count() or 1
    folder.mkdir(exist_ok=True)
    config = next(
        path
        for path in (PACKAGE.parent / "dagster.yaml", PACKAGE / "cli" / "dagster.yaml")
        if path.exists()
    )
    shutil.copyfile(config, folder / "dagster.yaml")
    (folder / "workspace.yaml").write_text(
        "load_from: [{python_module: {module_name: synnq_assets.definitions}}]\n"
    )
    return {
        **os.environ,
        "DAGSTER_HOME": str(folder),
        "SYNNQ_HOME": str(home.path),
        "PYTHONUNBUFFERED": "1",
        # Several runs share this machine: threads that spin would starve each other.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cpus // MAX_RUNS))),
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def create_database(home: Home) -> None:
    """Load the definitions, and create Dagster's tables before two processes try to at once.

    Pools get their limits, unless an operator has set them.
    """
    import dagster as dg

    import synnq_assets.definitions  # noqa: F401 - fails here, with its reason, or not at all

    with dg.DagsterInstance.from_config(str(home.path / "dagster")) as instance:
        storage = instance.event_log_storage
        held = {pool.name for pool in storage.get_pool_limits() if not pool.from_default}
        for pool, limit in POOL_LIMITS.items():
            if pool not in held:
                storage.set_concurrency_slots(pool, limit)


class Services(AbstractContextManager["Services"]):
    """Daemon and web server, each in a process group of its own; ended together."""

    def __init__(self, home: Home, *, port: int = 3000, is_read_only: bool = False) -> None:
        """Prepare; `with` starts."""
        self.home = home
        self.port = find_port(port)
        self.url = f"http://127.0.0.1:{self.port}"
        self._is_read_only = is_read_only
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Services":
        """Start both, and wait until the web page answers."""
        docs = plan_data_docs_server(self.home)
        environment = write_instance(self.home) | {DATA_DOCS_URL: docs.url}
        create_database(self.home)
        workspace = str(self.home.path / "dagster" / "workspace.yaml")
        web = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(self.port)]
        web += ["-w", workspace, *(["--read-only"] if self._is_read_only else [])]
        commands = {"web": web, **({"data_docs": docs.command} if docs.command else {})}
        if not self._is_read_only:
            commands["daemon"] = [sys.executable, "-m", "dagster._daemon", "run", "-w", workspace]
        try:
            for name, command in commands.items():
                with (self.home.path / "dagster" / f"{name}.log").open("ab") as log:
                    self.children[name] = subprocess.Popen(
                        command,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
            self._await_web()
        except BaseException:
            self.stop()
            raise
        return self

    def _await_web(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            with suppress(OSError):
                urllib.request.urlopen(f"{self.url}/server_info", timeout=2).close()
                return
            time.sleep(0.3)
        raise SynnqError(f"the web page did not answer within {START_SECONDS:.0f} s")

    def check(self) -> None:
        """Raise if a child ended by itself.

        Raises:
            SynnqError: with the last line of its log.
        """
        for name, child in self.children.items():
            if child.poll() is not None:
                log = self.home.path / "dagster" / f"{name}.log"
                lines = log.read_text(errors="replace").strip().splitlines()
                raise SynnqError(f"{name} ended: {lines[-1] if lines else 'no message'}; see {log}")

    def wait(self) -> None:
        """Block until Ctrl-C or until a child ends."""
        with suppress(KeyboardInterrupt):
            while True:
                self.check()
                time.sleep(1)

    def stop(self) -> None:
        """End both and everything that they started; training jobs are not of them."""
        with undisturbed():
            has_runs = "daemon" in self.children
            try:
                run_ids = announce_stop(self.home) if has_runs else []
            finally:
                self._end_children()
            if has_runs:
                close_stopped_runs(self.home, run_ids)

    def _end_children(self) -> None:
        """First asked, then killed."""
        for sent, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5.0)):
            for child in self.children.values():
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, sent)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and self._has_survivors():
                time.sleep(0.1)
        for child in self.children.values():
            child.wait()

    def _has_survivors(self) -> bool:
        for child in self.children.values():
            child.poll()
            with suppress(ProcessLookupError):
                os.killpg(child.pid, 0)
                return True
        return False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End both."""
        self.stop()
