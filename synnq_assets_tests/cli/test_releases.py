"""`synnq serve` as people start it."""

import io
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from rich.console import Console

from synnq_assets.cli.releases import warn_unpinned
from synnq_assets.release import verify_release
from synnq_assets.serving import generate_api_key
from synnq_assets_tests.release.release_folder import SmallRelease, build_small_release

COMMAND = (sys.executable, "-c", "from synnq_assets.cli import main; main()", "serve")
WARNING = "its root key was taken from the folder itself"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallRelease:
    return build_small_release(tmp_path_factory.mktemp("served"))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(generate_api_key()[1] + "\n")
    return path


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def serve_until_healthy(port: int, *arguments: object) -> str:
    """Return what a server wrote to its error stream until it answered; it is ended then."""
    server = start(*arguments, "--port", port)
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
                    break
            except OSError:
                assert server.poll() is None, server.communicate()
                time.sleep(0.1)
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=20)
    return " ".join(errors.split())


@pytest.mark.slow
def test_serving_without_the_root_key_warns_that_the_release_is_not_pinned(
    small: SmallRelease, keys: Path, unused_port: int
):
    assert WARNING in serve_until_healthy(unused_port, small.folder, "--api-key-file", keys)


@pytest.mark.parametrize("is_pinned", [False, True])
def test_the_warning_is_for_releases_that_are_not_pinned(small: SmallRelease, is_pinned: bool):
    console = Console(file=io.StringIO(), width=1000)
    verified = verify_release(small.folder, small.root.public_key if is_pinned else None)
    warn_unpinned(verified, console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert printed == "" if is_pinned else WARNING in printed


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_a_release_that_was_changed_is_not_served(keys: Path, tmp_path: Path):
    small = build_small_release(tmp_path)
    path = small.folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    server = start(small.folder, "--api-key-file", keys)
    output, errors = server.communicate(timeout=60)
    assert (server.returncode, output) == (2, "")
    assert "model.safetensors does not have the signed digest" in errors
