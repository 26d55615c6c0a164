"""What a person types on a home whose campaign is over, through the installed command."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from synnq_assets_tests.journeys.running import command_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
SYNNQ = Path(sys.executable).with_name("synnq")


def type_synnq(*arguments, folder=None):
    """Run a command to its end."""
    return subprocess.run(
        [SYNNQ, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=command_environment(),
        timeout=600,
    )


def run_synnq(*arguments):
    """Run a command that must succeed, and return what it printed."""
    done = type_synnq(*arguments)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def assert_refused(done, *words):
    """One sentence on stderr, nothing else, exit code 2."""
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr


@pytest.fixture(scope="module")
def home(finished):
    return finished.home


@pytest.fixture(scope="module")
def release(home):
    folder = home.campaign.find_promoted().round
    return home.path / "releases" / f"synnq-smoke-{folder}"


def test_rounds_shows_every_round_with_its_parent(home):
    lines = run_synnq("rounds", "--home", home.path).splitlines()
    rows = {line.split()[0]: line.split() for line in lines if re.match(r"\s*r\d{4} ", line)}
    assert list(rows) == ["r0000", "r0001", "r0002"]
    for round_key, row in rows.items():
        evaluation = home.campaign.find_evaluation(round_key)
        assert row[1] == (home.campaign.find_checkpoint(round_key).parent_round or "-")
        assert row[2] == f"{evaluation.headline_perplexity:.1f}"
        assert " ".join(row[8:]) == evaluation.decision.replace("_", " ")
        assert row[4] == ("0" if round_key == "r0000" else "4")


def pick_document(home):
    """Return (document, node, round) of a document that was sent out."""
    order = home.campaign.list_orders("r0001")[0]
    lineage = sorted((home.path / "store" / "shards" / "lineage").glob("*.parquet"))
    for path in lineage:
        for row in pq.read_table(path).to_pylist():
            if row["shard_id"] == order.shards[0].shard_id:
                return row, order
    raise AssertionError("an ordered shard is in no lineage")


def test_a_document_is_followed_into_shard_node_and_round(home):
    row, order = pick_document(home)
    said = run_synnq("lineage", row["doc_id"], "--home", home.path)
    assert row["doc_id"] in said
    assert row["shard_id"][:16] in said
    record = home.campaign.find_checkpoint(order.round)
    weights = {item.assignment_id: item.weight for item in record.contributions}
    assert (
        f"{order.round}: sent to {order.node_id}, accepted, in checkpoint {order.round}"
        f" ({record.checkpoint.checkpoint_sha256[:16]}…)"
        f" with weight {weights[order.assignment_id]:.3f}\n"
    ) in said
    assert run_synnq("lineage", row["doc_id"][:16], "--home", home.path) == said


def test_a_document_that_is_nowhere_is_refused(home):
    assert_refused(type_synnq("lineage", "0" * 64, "--home", home.path), "no document 0000")


def test_the_audit_log_verifies_and_shows_its_end(home):
    size, root = home.audit.head()
    said = run_synnq("audit", "verify", "--home", home.path)
    assert said == f"audit log is consistent: {size} entries, root {root}\n"
    shown = run_synnq("audit", "show", "--home", home.path, "--action", "release", "--last", "0")
    entries = [e for _, e in home.audit.iter_entries() if e.action == "release"]
    assert shown.count(" intent ") == sum(e.phase == "intent" for e in entries) >= 1
    assert shown.count(" result ") == sum(e.phase == "result" for e in entries) >= 1


def test_the_nodes_are_listed_with_what_they_declared(home):
    said = run_synnq("nodes", "list", "--home", home.path)
    rows = [line for line in said.splitlines() if "node-" in line]
    assert len(rows) == 4
    assert all("active" in row and "cpu" in row for row in rows)
    assert "Northern computing centre" in said


def test_a_release_verifies_offline_under_the_coordinator_s_key(home, release):
    said = run_synnq("verify-release", release, "--root", home.coordinator.public_key)
    assert home.campaign.find_promoted().checkpoint.checkpoint_sha256 in said
    assert "root key was taken from the folder itself" not in said
    assert "root key was taken from the folder itself" in run_synnq("verify-release", release)


@pytest.mark.parametrize("name", ["model.safetensors", "README.md"])
def test_a_flipped_byte_of_a_release_is_found(tmp_path, release, name):
    copy = Path(shutil.copytree(release, tmp_path / "release"))
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    assert_refused(type_synnq("verify-release", copy), "does not verify", name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ronds"], ["ronds", "try --help"]),
        (["rounds", "--hom", "x"], ["--hom", "try --help"]),
        (["rounds", "--home", "nowhere"], ["nowhere", "synnq init"]),
        (["verify-release", "nowhere"], ["nowhere is not a folder"]),
        (["demo", "--recipe", "smok"], ["no recipe named 'smok'", "did you mean 'smoke'?"]),
        (["settings", "--profile", "lumi"], ["no profile named 'lumi'", "'lumi-g'"]),
        (["serve", "nowhere"], ["api-keys does not exist", "synnq api-key"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_sentence(tmp_path, arguments, words):
    assert_refused(type_synnq(*arguments, folder=tmp_path), *words)
    assert not list(tmp_path.iterdir())


def test_a_second_demo_on_a_finished_home_only_reports(home):
    size, _ = home.audit.head()
    started = time.monotonic()
    done = type_synnq("demo", "--home", home.path)
    assert time.monotonic() - started < 120
    assert "resuming the demo" in done.stdout
    assert "web page:" not in done.stdout  # nothing was started
    assert home.audit.head()[0] == size
    kept = re.findall(r"^kept +(.*)$", done.stdout, re.MULTILINE)
    assert {
        "the release verifies offline",
        "the audit log is consistent",
        "it agrees with Dagster's events, both ways",
        "no run failed",
    } <= set(kept)
    # The fixture plays no fault, and the smallest model need not learn in its second round.
    broken = re.findall(r"^BROKEN +(.*)$", done.stdout, re.MULTILINE)
    assert "r0002: node-south is killed, its shards are reassigned" in broken
    assert len(broken) <= 2
    assert done.returncode == 1


@contextmanager
def serving(release, root, keys, port):
    process = subprocess.Popen(
        [SYNNQ, "serve", release, "--root", root, "--api-key-file", keys, "--port", str(port)],
        env=command_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def call(port, path, key, body=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        json.dumps(body).encode() if body else None,
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


def test_a_release_is_served_and_its_answers_name_the_checkpoint(tmp_path, home, release):
    keys = tmp_path / "keys"
    key = run_synnq("api-key", keys).strip()
    assert key not in keys.read_text()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    promoted = home.campaign.find_promoted().checkpoint.checkpoint_sha256
    with serving(release, home.coordinator.public_key, keys, port) as process:
        deadline = time.monotonic() + 300
        while True:
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < deadline
            try:
                (model,) = call(port, "/v1/models", key)["data"]
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.3)
        body = {"model": model["id"], "prompt": "Die Richtlinie", "max_tokens": 8}
        answer = call(port, "/v1/completions", key, body)
        assert answer["checkpoint_sha256"] == promoted
        assert answer["choices"][0]["text"]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            call(port, "/v1/completions", "wrong", body)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[0]
        assert process.returncode in (0, 130)
        assert "Traceback" not in said
