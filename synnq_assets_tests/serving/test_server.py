import dataclasses
import json
import re
import shutil
import socket
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from synnq_assets.errors import ServingError
from synnq_assets.serving import ServedRelease, create_app, serve
from synnq_assets_tests.serving.served_release import (
    AUTH,
    KEY,
    KEY_HASH,
    build_served_release,
    read_events,
)


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> ServedRelease:
    return build_served_release(tmp_path_factory.mktemp("served"))


def test_other_weights_refuse_to_start(verified: ServedRelease, tmp_path: Path):
    folder = Path(shutil.copytree(verified.folder, tmp_path / "release"))
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    tampered = dataclasses.replace(verified, folder=folder)
    with pytest.raises(ServingError) as caught:
        create_app(tampered, api_keys=[KEY_HASH])
    assert re.fullmatch(
        rf"refusing to start: .*/release/model\.safetensors is checkpoint [0-9a-f]{{64}}, but the "
        rf"verified release is checkpoint {verified.checkpoint_sha256}; verify the release again",
        str(caught.value),
    )


def test_missing_weights_refuse_to_start(verified: ServedRelease, tmp_path: Path):
    with pytest.raises(ServingError, match="cannot read"):
        create_app(dataclasses.replace(verified, folder=tmp_path), api_keys=[KEY_HASH])


def test_no_key_refuses_to_start(verified: ServedRelease):
    with pytest.raises(ServingError, match="no API key"):
        create_app(verified, api_keys=[])
    with pytest.raises(ServingError, match="store hashes, not keys"):
        create_app(verified, api_keys=[KEY])


def test_served_over_a_socket(verified: ServedRelease, tmp_path: Path):
    (tmp_path / "keys").write_text(KEY_HASH + "\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = {"host": "127.0.0.1", "port": port, "api_key_file": tmp_path / "keys"}
    threading.Thread(target=serve, args=(verified,), kwargs=arguments, daemon=True).start()
    address = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"{address}/healthz", timeout=2) as answer:
                assert answer.headers["X-Synnq-Checkpoint"] == verified.checkpoint_sha256
                break
        except OSError:
            time.sleep(0.05)
    else:
        pytest.fail("the server did not start")
    body = json.dumps({"model": "synnq-smoke", "prompt": "x", "stream": True, "max_tokens": 4})
    headers = {**AUTH, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/v1/completions", body.encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert read_events(answer.read().decode())
