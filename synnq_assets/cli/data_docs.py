"""Data Docs over http on loopback, beside the web page that links to them.

A home keeps its port, since links are written into Dagster's events and have to last. Whoever holds
that port already may be another `synnq up` of the same home: it shows the home's own mark then.
"""

import http.client
import secrets
import socket
import sys
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from synnq_assets.settings import data_docs_url
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust import Home

FOLDER, MARK = "data_docs", "home-mark.txt"
FIRST_PORT, NUM_PORTS = 3080, 20
LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class DataDocsServer:
    """How a home's Data Docs are served: `url` for links; no `command` where another serves."""

    url: str
    command: list[str]


def plan_data_docs_server(home: Home) -> DataDocsServer:
    """Return how to serve a home's Data Docs, on the port that it had before if that is possible.

    `SYNNQ_DATA_DOCS_URL` replaces the URL of the links, as behind a reverse proxy; what the proxy
    passes on to is served all the same.

    Raises:
        SettingsError: `SYNNQ_DATA_DOCS_URL` is no web address.
    """
    folder = home.path / FOLDER
    mark = _read_mark(folder / MARK)
    remembered = home.path / "dagster" / "data_docs_port"
    port, is_served = _choose_port(_read_port(remembered), mark)
    write_atomically(remembered, f"{port}\n".encode())
    command = [sys.executable, "-m", "http.server", str(port)]
    command += ["--bind", "127.0.0.1", "--directory", str(folder)]
    return DataDocsServer(
        url=data_docs_url() or f"http://127.0.0.1:{port}",
        command=[] if is_served else command,
    )


def _read_mark(path: Path) -> bytes:
    if not path.exists():
        write_atomically(path, secrets.token_hex(16).encode())
    return path.read_bytes()


def _read_port(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        port = int(path.read_text())
        return port if 0 < port < 1 << 16 else None
    return None


def _choose_port(remembered: int | None, mark: bytes) -> tuple[int, bool]:
    """Return (port, whether this home's Data Docs are served there already)."""
    ports = range(FIRST_PORT, FIRST_PORT + NUM_PORTS)
    for port in ports if remembered is None else (remembered, *ports):
        if _is_free(port):
            return port, False
        if port == remembered and _fetch_mark(port) == mark:
            return port, True
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1]), False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: connections that were closed a moment ago do not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


def _fetch_mark(port: int) -> bytes | None:
    with suppress(OSError, http.client.HTTPException):
        url = f"http://127.0.0.1:{port}/{MARK}"
        with urllib.request.urlopen(url, timeout=LOOK_SECONDS) as answer:
            return bytes(answer.read(100))
    return None
