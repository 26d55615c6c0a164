"""A forked child that strace watches from a known call on, and what it said before it ended."""

import json
import os
import signal
import socket
import subprocess
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synnq_assets.errors import SynnqError

LIMIT_SECONDS = 120.0
Tell = Callable[..., None]
Told = list[dict[str, Any]]


@dataclass(frozen=True)
class Ending:
    """How a child ended: done, refused (a typed error), untyped (another one), killed or stuck."""

    how: str
    why: str
    told: Told


def run_child(
    work: Callable[[Tell], None], options: list[str] | None = None, log: Path | None = None
) -> Ending:
    """Fork, attach strace where it has options, let the child work, and return how it ended."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _work(theirs, work)
    theirs.close()
    tracer = None
    try:
        if options is not None:
            tracer = _attach(pid, options, log or Path(os.devnull))
        ours.sendall(b"!")
        return _listen(ours, pid)
    finally:
        ours.close()
        os.waitpid(pid, 0)
        if tracer is not None:
            tracer.communicate(timeout=LIMIT_SECONDS)


def _work(theirs: socket.socket, work: Callable[[Tell], None]) -> None:
    """Work and exit; what is told goes out by sendto(2), which no fault is injected into."""

    def tell(**fact: Any) -> None:
        theirs.sendall(json.dumps(fact).encode() + b"\n")

    try:
        theirs.recv(1)
        work(tell)
        tell(end="done")
    except SynnqError as error:
        tell(end="refused", why=f"{type(error).__name__}: {error}")
    except BaseException:
        tell(end="untyped", why=traceback.format_exc()[-1500:])
    finally:
        os._exit(0)


def _attach(pid: int, options: list[str], log: Path) -> "subprocess.Popen[bytes]":
    command = ["strace", "-f", "-y", "-s", "0", "-o", str(log), *options, "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert tracer.stderr is not None
    line = tracer.stderr.readline()
    if b"attached" not in line:
        os.kill(pid, signal.SIGKILL)
        raise RuntimeError(f"strace cannot attach: {line!r}")
    return tracer


def _listen(ours: socket.socket, pid: int) -> Ending:
    ours.settimeout(LIMIT_SECONDS)
    data = b""
    try:
        while block := ours.recv(1 << 16):
            data += block
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        return Ending("stuck", f"more than {LIMIT_SECONDS} seconds", [])
    told = [json.loads(line) for line in data.splitlines()]
    if told and "end" in told[-1]:
        end = told.pop()
        return Ending(end["end"], end.get("why", ""), told)
    return Ending("killed", "", told)
