"""What operators type, on the home of a finished campaign."""

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pyarrow.parquet as pq
import pytest

from synnq_assets.cli.services import find_port
from synnq_assets_tests.journeys.running import command_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def synnq(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", "from synnq_assets.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=command_environment(**environment),
        timeout=300,
    )


def run_ok(*arguments, **environment):
    result = synnq(*arguments, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(*arguments, says):
    result = synnq(*arguments)
    assert result.returncode == 2
    assert says in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_rounds_and_nodes_are_listed(finished):
    text = run_ok("rounds", "--home", finished.home.path)
    assert "r0002" in text
    assert "promoted" in text
    assert "node-west" in run_ok("nodes", "list", "--home", finished.home.path)


def test_a_document_is_followed_into_checkpoints(finished):
    home = finished.home
    order = home.campaign.list_orders("r0001")[0]
    cell = order.shards[0].cell
    table = pq.read_table(home.store.local_path(f"shards/lineage/{cell}.parquet")).to_pylist()
    row = next(row for row in table if row["shard_id"] == order.shards[0].shard_id)
    text = run_ok("lineage", row["doc_id"][:16], "--home", home.path)
    assert row["doc_id"] in text
    assert f"r0001: sent to {order.node_id}" in text
    assert "in checkpoint r0001" in text
    refused("lineage", "00000000", "--home", home.path, says="error:")


def test_the_audit_log_verifies_and_is_shown(finished):
    assert "audit log is consistent" in run_ok("audit", "verify", "--home", finished.home.path)
    assert "global_checkpoint" in run_ok("audit", "show", "--home", finished.home.path, "--last", 0)


def test_a_release_verifies_and_a_flipped_byte_is_found(finished, tmp_path):
    (folder,) = sorted((finished.home.path / "releases").iterdir())[-1:]
    key = finished.home.coordinator.public_key
    assert "checkpoint" in run_ok("verify-release", folder, "--root", key)
    copy = tmp_path / "release"
    shutil.copytree(folder, copy)
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    refused("verify-release", copy, says="model.safetensors")
    refused("verify-release", tmp_path / "nowhere", says="is not a folder")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("rownds",), "No such command"),
        (("rounds", "--hoem", "x"), "No such option"),
        (("rounds", "--home", "nowhere"), "run `synnq init` first"),
        (("demo", "--recipe", "dmo", "--home", "nowhere"), "did you mean 'demo'"),
        (("settings", "--profile", "lumi"), "no profile named 'lumi'"),
        (("nodes", "enrol", "missing.json"), "cannot read missing.json"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(*arguments, says=says)


def test_a_second_demo_reports_and_runs_nothing(finished):
    began = time.monotonic()
    result = synnq("demo", "--home", finished.home.path)
    assert "resuming the demo" in result.stdout
    assert "the release verifies offline" in result.stdout
    assert "web page" not in result.stdout
    assert time.monotonic() - began < 120


def post(url, body, key):
    request = urllib.request.Request(
        url,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def test_a_release_is_served_with_its_digest(finished, tmp_path):
    (folder,) = sorted((finished.home.path / "releases").iterdir())[-1:]
    key = run_ok("api-key", tmp_path / "keys").strip()
    port = find_port(0)
    command = [sys.executable, "-c", "from synnq_assets.cli import main; main()", "serve"]
    command += [str(folder), "--port", str(port), "--api-key-file", str(tmp_path / "keys")]
    server = subprocess.Popen(
        command, env=command_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url, deadline = f"http://127.0.0.1:{port}/v1/completions", time.monotonic() + 120
        body = {"model": folder.name, "prompt": "Die", "max_tokens": 4, "temperature": 0}
        body["model"] = finished.home.settings.recipe.release.model_name
        while True:
            try:
                answer = post(url, body, key)
                break
            except (urllib.error.URLError, ConnectionError):
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.5)
        promoted = finished.home.campaign.find_promoted()
        assert answer["checkpoint_sha256"] == promoted.checkpoint.checkpoint_sha256
        with pytest.raises(urllib.error.HTTPError, match="401"):
            post(url, body, "wrong")
    finally:
        server.terminate()
        server.wait(timeout=60)
