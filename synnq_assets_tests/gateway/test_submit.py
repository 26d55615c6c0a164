"""The node's command against the real gateway: items 65 and 66 of the list, and the whole way."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from synnq_assets.cli.app import run
from synnq_assets.gateway import GatewayClient, NodeCredentials, find_inbox
from synnq_assets.records.base import sha256_hex
from synnq_assets.records.orders import Order
from synnq_assets.submissions import receive_submission
from synnq_assets.trust import Home, Keyring, open_envelope
from synnq_assets.trust.audit.receipts import verify_receipt
from synnq_assets_tests.builders import NOW, digest_of
from synnq_assets_tests.gateway import world

ASSIGNMENT = world.assignment("node-a")
MINE = f"/v1/assignments/{ASSIGNMENT}"
LARGE = {"update.safetensors": 48 << 20, "training_log.parquet": 3000, "diagnostics.parquet": 200}


def start_submit(home, job, port):
    command = [sys.executable, "-m", "synnq_assets_tests.gateway.command", "submit", str(job)]
    command += ["--gateway", f"https://127.0.0.1:{port}"]
    command += ["--node", str(home.path / "nodes" / "node-a" / "node.yaml")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read_part(home, num_bytes="*"):
    return next((home.path / "inbox").rglob(f"*.{num_bytes}.part"), None)


def await_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return found


@pytest.mark.slow
def test_66_submit_goes_on_after_the_gateway_was_killed_in_the_middle(home, tmp_path):
    job = world.write_job(home, tmp_path / "job", sizes=LARGE)
    port = world.find_port()
    with world.serving(home, port) as first:
        client = start_submit(home, job, port)
        part = await_until(lambda: read_part(home, LARGE["update.safetensors"]))
        await_until(lambda: part.stat().st_size > 4 << 20)
        first.kill()
        first.wait()
    held = part.stat().st_size
    assert held < LARGE["update.safetensors"]
    with world.serving(home, port):
        printed, errors = client.communicate(timeout=120)
    assert client.returncode == 0, errors
    manifest = (job / "submission" / "submission.json").read_bytes()
    assert f"{ASSIGNMENT} arrived: {sha256_hex(manifest)}" in printed
    outbox = find_inbox(home.path, ASSIGNMENT)
    for path in (job / "submission").iterdir():
        assert (outbox / path.name).read_bytes() == path.read_bytes()
    assert len(list(outbox.iterdir())) == 4
    receive_submission(outbox, home.store, world.ROUND, ASSIGNMENT)
    log = Home.open(home.path).audit
    arrivals = [e for _, e in log.iter_entries() if e.action == "submission_arrived"]
    assert len(arrivals) == 1
    log.verify(home.log_verifier)


@pytest.mark.slow
def test_66_what_was_acknowledged_is_there_after_a_kill(home, tmp_path):
    data = bytes(range(256)) * 64
    blob = f"{MINE}/blobs/{sha256_hex(data)}"
    port = world.find_port()
    for begin in (0, 5000):
        with world.serving(home, port) as process:
            gateway = world.Running(home, port)
            declared = gateway.ask("PUT", blob, upload_length=len(data))
            assert declared.headers["upload-offset"] == str(begin)
            part = data[begin : begin + 5000]
            assert gateway.ask("PATCH", blob, part, upload_offset=begin).status == 200
            process.kill()
    with world.running(home) as gateway:
        assert gateway.ask("HEAD", blob).headers["upload-offset"] == "10000"
        assert gateway.ask("PATCH", blob, data[10000:], upload_offset=10000).value["is_complete"]


def test_66_a_gateway_killed_between_the_last_byte_and_its_answer_verifies_it_later(home):
    data = bytes(range(256)) * 64
    for letter, content in (("good", data), ("bad", data[::-1])):
        with world.running(home) as gateway:
            blob = f"{MINE}/blobs/{sha256_hex(data)}"
            gateway.ask("PUT", blob, upload_length=len(data))
        read_part(home).write_bytes(content)  # all bytes on disk, nobody judged them
        with world.running(home) as gateway:
            answer = gateway.ask("PUT", blob, upload_length=len(data))
            if letter == "good":
                assert answer.value["is_complete"]
                gateway.ask("DELETE", blob)
            else:
                assert (answer.status, answer.reason) == (422, "digest_mismatch")
    assert read_part(home) is None


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before the rename", "before the entry", "before the note"])
def test_66_a_gateway_killed_around_the_rename_takes_a_submission_once(moment, home, tmp_path):
    job = world.write_job(home, tmp_path / "job")
    script = f"""
import os, sys
from synnq_assets.gateway import inbox
from synnq_assets.trust.audit import AuditLog
moment = {moment!r}
rename, log_event, write = os.replace, AuditLog.log_event, inbox._write
def die(*a, **k): os.kill(os.getpid(), 9)
def rename_or_die(source, target):
    die() if moment == "before the rename" and str(target).endswith("{ASSIGNMENT}") else None
    rename(source, target)
def log_or_die(self, action, *a, **k):
    die() if moment == "before the entry" and action == "submission_arrived" else None
    return log_event(self, action, *a, **k)
def write_or_die(path, data):
    is_last = ".arrivals" in str(path) and b'"position":null' not in data
    die() if moment == "before the note" and is_last else write(path, data)
inbox.os = type(os)("os"); inbox.os.__dict__.update(os.__dict__); inbox.os.replace = rename_or_die
AuditLog.log_event, inbox._write = log_or_die, write_or_die
from synnq_assets.cli import main
main()
"""
    (tmp_path / "killed.py").write_text(script)
    port = world.find_port()
    command = [sys.executable, str(tmp_path / "killed.py"), "gateway", "serve"]
    command += ["--port", str(port), *world.at(home)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.getcwd()})
    world.await_port(port, process)
    client = start_submit(home, job, port)
    assert process.wait(timeout=60) == -9
    with world.serving(home, port):
        _, errors = client.communicate(timeout=60)
    assert client.returncode == 0, errors
    log = Home.open(home.path).audit
    assert len([e for _, e in log.iter_entries() if e.action == "submission_arrived"]) == 1
    assert len(list(find_inbox(home.path, ASSIGNMENT).iterdir())) == 4
    assert not list((home.path / "inbox" / ".uploads").iterdir())


# --- 65: the disk is full


def can_mount():
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return shutil.which("unshare") and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs a small file system of its own")
def test_65_a_full_disk_is_507_and_leaves_an_upload_that_goes_on(home):
    (home.path / "inbox").mkdir()
    mount = f'mount -t tmpfs -o size=4m none {home.path / "inbox"} && exec "$@"'
    blobs = [bytes([k]) * (1_400_000) for k in (1, 2)]
    places = [f"{MINE}/blobs/{sha256_hex(data)}" for data in blobs]
    port = world.find_port()
    with world.serving(home, port, "unshare", "-rm", "sh", "-c", mount, "sh"):
        gateway = world.Running(home, port)
        large = gateway.ask("PUT", f"{MINE}/blobs/{'c' * 64}", upload_length=4 << 20)
        assert (large.status, large.reason) == (507, "disk_full")  # told before a byte is sent
        second = f"/v1/assignments/{world.assignment('node-a', 2)}/blobs/{'d' * 64}"
        for place, data in zip(places, blobs, strict=True):
            assert gateway.ask("PUT", place, upload_length=len(data)).status == 200
        assert gateway.ask("PUT", second, upload_length=2_500_000).status == 200
        assert gateway.ask("PATCH", second, bytes(2_400_000), upload_offset=0).status == 200
        assert gateway.ask("PATCH", places[0], blobs[0], upload_offset=0).value["is_complete"]
        full = gateway.ask("PATCH", places[1], blobs[1], upload_offset=0)
        assert (full.status, full.reason) == (507, "disk_full")
        offset = int(gateway.ask("HEAD", places[1]).headers["upload-offset"])
        assert offset < len(blobs[1])
        assert gateway.ask("DELETE", second).status == 200  # room again
        rest = blobs[1][offset:]
        answer = gateway.ask("PATCH", places[1], rest, upload_offset=offset)
        assert answer.value["is_complete"]


# --- orders, receipts, the command


def test_a_node_gets_its_order_and_its_files_over_the_gateway_alone(gateway):
    (first, second) = gateway.ask("GET", "/v1/orders").value["orders"]
    assert [first["assignment_id"], second["assignment_id"]] == [
        world.assignment("node-a", 1),
        world.assignment("node-a", 2),
    ]
    ring = Keyring.with_root(
        gateway.home.settings.recipe.federation, gateway.home.coordinator.public_key
    )
    order = open_envelope(first["envelope"].encode(), Order, ring, roles=("coordinator",))
    shard = f"inputs/shards/{digest_of('node-a')}.sealed"
    assert first["files"] == [
        "recipe.json",
        "inputs/checkpoint/model.safetensors",
        shard,
        "order.json",
    ]
    place = f"/v1/orders/{first['assignment_id']}/files"
    found = {name: gateway.ask("GET", f"{place}/{name}").data for name in first["files"]}
    assert found["order.json"] == first["envelope"].encode()
    assert found[shard] == b"sealed for node-a"
    assert sha256_hex(found["recipe.json"]) == order.recipe_sha256
    model = found["inputs/checkpoint/model.safetensors"]
    assert sha256_hex(model) == order.base.files[0].sha256
    part = gateway.ask("GET", f"{place}/inputs/checkpoint/model.safetensors", range="bytes=100-")
    assert (part.status, part.data) == (206, model[100:])
    assert gateway.ask("GET", f"{place}/{shard}", range="bytes=9999-").status == 416


def test_a_receipt_proves_the_arrival_and_later_the_verdict(home, tmp_path, capsys):
    job = world.write_job(home, tmp_path / "job")
    with world.running(home) as gateway:
        assert gateway.ask("GET", f"{MINE}/receipt").status == 404
        node = home.path / "nodes" / "node-a" / "node.yaml"
        submit = ["submit", str(job), "--gateway", gateway.url, "--node", str(node)]
        assert run(submit) == 0
        client = GatewayClient(gateway.url, NodeCredentials.read(node))
        arrival = client.receipt(ASSIGNMENT)
        assert arrival["of"] == "arrival"
        proof, entry = arrival["proof"].encode(), arrival["entry"].encode()
        verify_receipt(proof, entry, home.log_verifier)
        judge(home, job)
        verdict = client.receipt(ASSIGNMENT)
        assert verdict["of"] == "verdict"
        assert json.loads(verdict["entry"])["details"]["decision"] == "accepted"
        proof, entry = verdict["proof"].encode(), verdict["entry"].encode()
        verify_receipt(proof, entry, home.log_verifier)
        assert b"verdict" in base64.b64decode(json.loads(verdict["verdict"])["payload"])
        capsys.readouterr()
        assert run([*submit, "--receipt"]) == 0
        assert capsys.readouterr().out == verdict["proof"]
        assert run(submit) == 0  # again: the same answer


def judge(home, job):
    """As the coordinator's run does: the verdict, and the act around it."""
    from synnq_assets.records.submissions import Verdict

    sha256 = sha256_hex((job / "submission" / "submission.json").read_bytes())
    verdict = Verdict(
        round=world.ROUND,
        assignment_id=ASSIGNMENT,
        node_id="node-a",
        submission_sha256=sha256,
        decision="accepted",
        score=1.0,
        num_tokens=10,
        cell_tokens={"de.health": 10},
        checks=(),
        decided_at=NOW,
    )
    opened = Home.open(home.path)
    with opened.audit.act("verified_submission", ASSIGNMENT, actor="coordinator") as deed:
        opened.campaign.put_verdict(verdict, opened.coordinator)
        deed.details.update(sha256=sha256, decision="accepted")


def test_submit_says_in_one_sentence_why_it_cannot(home, tmp_path, capsys):
    node = str(home.path / "nodes" / "node-a" / "node.yaml")
    url = "https://127.0.0.1:1"
    theirs = world.write_job(home, tmp_path / "theirs", node="node-b")
    assert run(["submit", str(theirs), "--gateway", url, "--node", node]) == 2
    assert "is node-b's, not yours" in capsys.readouterr().err
    assert run(["submit", str(tmp_path), "--gateway", url, "--node", node]) == 2
    assert "no order of this coordinator" in capsys.readouterr().err
    job = world.write_job(home, tmp_path / "job")
    assert run(["submit", str(job), "--gateway", "http://x", "--node", node]) == 2
    assert "is not a gateway's URL" in capsys.readouterr().err
    with world.running(home) as gateway:
        assert run(["nodes", "suspend", "node-a", *world.at(home)]) == 0
        assert run(["submit", str(job), "--gateway", gateway.url, "--node", node]) == 2
    assert "403 not_active" in capsys.readouterr().err


def test_nothing_arrived_is_none(home):
    assert find_inbox(home.path, ASSIGNMENT) is None
