"""Blobs and manifests over real sockets: items 33, 34, 36, 63, 64, 84, 86 of the list, and bounds.

The numbers in names are those of the list of bad inputs that intake has to withstand.
"""

import dataclasses
import gzip
import json
import ssl
import time
from contextlib import closing

import pytest

from synnq_assets.cli.app import run
from synnq_assets.gateway import find_inbox
from synnq_assets.records.base import sha256_hex
from synnq_assets.submissions import receive_submission
from synnq_assets.trust import Home
from synnq_assets_tests.gateway import world

MINE = f"/v1/assignments/{world.assignment('node-a')}"
DATA = bytes(range(256)) * 20
SHA256 = sha256_hex(DATA)
CLOSED = (ConnectionError, ssl.SSLError)
BLOB = f"{MINE}/blobs/{SHA256}"


def send_all(gateway, job, node="node-a", attempt=1):
    """Upload a job's blobs, then its manifest; return the last answer."""
    place = f"/v1/assignments/{world.assignment(node, attempt)}"
    for name in world.SIZES:
        data = (job / "submission" / name).read_bytes()
        answer = gateway.upload(place, sha256_hex(data), data, node=node)
        assert answer.status == 200, answer
    manifest = (job / "submission" / "submission.json").read_bytes()
    return gateway.ask("PUT", f"{place}/manifest", manifest, node=node)


def offset_of(gateway, path=BLOB):
    return int(gateway.ask("HEAD", path).headers["upload-offset"])


def build_head(method, path, *headers):
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def read_status(answer):
    return int(answer.split(b" ", 2)[1])


def inbox_files(home):
    return world.list_tree(home.path / "inbox")


# --- the good way


def test_a_whole_submission_becomes_an_outbox_of_exactly_four_files(gateway, tmp_path):
    job = world.write_job(gateway.home, tmp_path / "job")
    answer = send_all(gateway, job)
    manifest = (job / "submission" / "submission.json").read_bytes()
    assert answer.status == 200
    assert answer.value["submission_sha256"] == sha256_hex(manifest)
    outbox = find_inbox(gateway.home.path, world.assignment("node-a"))
    assert {path.name: path.read_bytes() for path in outbox.iterdir()} == {
        path.name: path.read_bytes() for path in (job / "submission").iterdir()
    }
    assert not list((gateway.home.path / "inbox" / ".uploads").iterdir())
    folder = receive_submission(outbox, gateway.home.store, world.ROUND, world.assignment("node-a"))
    assert json.loads((folder / "arrival.json").read_bytes())["left_behind"] == {}


def test_the_same_manifest_again_gets_the_same_answer_and_no_second_entry(gateway, tmp_path):
    job = world.write_job(gateway.home, tmp_path / "job")
    first = send_all(gateway, job)
    manifest = (job / "submission" / "submission.json").read_bytes()
    assert gateway.ask("PUT", f"{MINE}/manifest", manifest).value == first.value
    (entry,) = gateway.entries("submission_arrived")
    conceal = gateway.home.audit.conceal
    assert (entry.subject, entry.actor) == (conceal(world.assignment("node-a")), conceal("node-a"))
    assert entry.details == {
        "sha256": sha256_hex(manifest),
        "num_bytes": len(manifest) + sum(world.SIZES.values()),
    }


def test_56_a_second_submission_for_an_order_is_refused_and_the_first_stands(gateway, tmp_path):
    send_all(gateway, world.write_job(gateway.home, tmp_path / "job"))
    before = inbox_files(gateway.home)
    other = world.write_job(gateway.home, tmp_path / "other", seed="other") / "submission"
    data = (other / "update.safetensors").read_bytes()
    declared = gateway.ask("PUT", f"{MINE}/blobs/{sha256_hex(data)}", upload_length=len(data))
    assert (declared.status, declared.reason) == (409, "already_received")
    answer = gateway.ask("PUT", f"{MINE}/manifest", (other / "submission.json").read_bytes())
    assert (answer.status, answer.reason) == (409, "already_received")
    assert inbox_files(gateway.home) == before


def test_an_upload_goes_on_at_its_offset(gateway):
    assert gateway.ask("PUT", BLOB, upload_length=len(DATA)).headers["upload-offset"] == "0"
    for begin in range(0, len(DATA), 1000):
        part = DATA[begin : begin + 1000]
        assert gateway.ask("PATCH", BLOB, part, upload_offset=begin).status == 200
        assert offset_of(gateway) == begin + len(part)
    assert gateway.ask("PUT", BLOB, upload_length=len(DATA)).value["is_complete"]


# --- 33, 34, 36: lengths, digests, encodings


def test_33_bytes_beyond_the_declared_length_are_refused_before_they_are_read(gateway):
    gateway.ask("PUT", BLOB, upload_length=len(DATA) - 1)
    answer = gateway.ask("PATCH", BLOB, DATA, upload_offset=0)
    assert (answer.status, answer.reason) == (413, "body_too_large")
    assert offset_of(gateway) == 0
    assert gateway.ask("PUT", BLOB, upload_length=len(DATA)).reason == "other_length"


def test_34_bytes_of_another_digest_are_discarded(gateway):
    gateway.ask("PUT", BLOB, upload_length=len(DATA))
    answer = gateway.ask("PATCH", BLOB, DATA[::-1], upload_offset=0)
    assert (answer.status, answer.reason) == (422, "digest_mismatch")
    assert inbox_files(gateway.home) == []
    assert gateway.upload(MINE, SHA256, DATA).value["is_complete"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "GZIP"])
def test_36_a_compressed_body_is_refused_unread(encoding, gateway):
    bomb = gzip.compress(bytes(1 << 20))
    gateway.ask("PUT", BLOB, upload_length=len(DATA))
    answer = gateway.ask("PATCH", BLOB, bomb, upload_offset=0, content_encoding=encoding)
    assert (answer.status, answer.reason) == (415, "invalid_encoding")
    assert offset_of(gateway) == 0


def test_36_a_bomb_sent_as_bytes_stays_the_bytes_that_it_is(gateway):
    bomb = gzip.compress(bytes(1 << 20))
    assert gateway.upload(MINE, sha256_hex(bomb), bomb).status == 200
    (path,) = (gateway.home.path / "inbox").rglob("*.blob")
    assert path.read_bytes() == bomb


# --- bounds


@pytest.mark.parametrize("length", ["0", "-1", "1e3", "１２", "99999999999999", "9" * 30, ""])
def test_a_length_that_is_none_or_too_large_is_refused(length, gateway):
    raw = build_head("PUT", BLOB, f"Upload-Length: {length}".encode().decode("latin-1"))
    assert read_status(gateway.send(raw)) in (400, 413)
    assert inbox_files(gateway.home) == []


def test_an_assignment_has_at_most_three_blobs(gateway):
    for letter in "abc":
        assert gateway.ask("PUT", f"{MINE}/blobs/{letter * 64}", upload_length=9).status == 200
    answer = gateway.ask("PUT", f"{MINE}/blobs/{'d' * 64}", upload_length=9)
    assert (answer.status, answer.reason) == (413, "too_large")
    assert gateway.ask("DELETE", f"{MINE}/blobs/{'a' * 64}").status == 200
    assert gateway.ask("PUT", f"{MINE}/blobs/{'d' * 64}", upload_length=9).status == 200


def test_the_blobs_of_an_assignment_have_a_total(home):
    most = home.settings.recipe.intake.max_update_bytes
    with world.running(home) as gateway:
        gateway.ask("PUT", BLOB, upload_length=1)
        # declared as long as an update may be, without sending one
        (part,) = (home.path / "inbox").rglob("*.part")
        part.rename(part.with_name(f"{'a' * 64}.{most}.part"))
        answer = gateway.ask("PUT", f"{MINE}/blobs/{'b' * 64}", upload_length=most)
    assert (answer.status, answer.reason) == (413, "too_large")


def test_open_uploads_requests_and_parallel_requests_of_a_node_are_bounded(home):
    limits = dataclasses.replace(world.LIMITS, max_open_uploads=1, max_requests_per_minute=5)
    second = f"/v1/assignments/{world.assignment('node-a', 2)}/blobs/{'b' * 64}"
    with world.running(home, limits) as gateway:
        assert gateway.ask("PUT", BLOB, upload_length=9).status == 200
        answer = gateway.ask("PUT", second, upload_length=9)
        assert (answer.status, answer.reason) == (429, "too_many_uploads")
        answers = [gateway.ask("GET", "/v1/orders") for _ in range(5)]
        assert answers[-1].reason == "too_many_requests"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 12
        assert gateway.ask("GET", "/v1/orders", node="node-b").status == 200


def test_a_manifest_that_is_too_large_is_refused_unread(gateway):
    raw = build_head("PUT", f"{MINE}/manifest", f"Content-Length: {(4 << 20) + 1}")
    assert read_status(gateway.send(raw)) == 413


# --- whose, and which


def test_18_another_nodes_assignment_is_refused_on_every_way(gateway):
    theirs = f"/v1/assignments/{world.assignment('node-b')}"
    shard = f"/v1/orders/{world.assignment('node-b')}/files/order.json"
    answers = [
        gateway.ask("PUT", f"{theirs}/blobs/{SHA256}", upload_length=9),
        gateway.ask("PATCH", f"{theirs}/blobs/{SHA256}", b"x", upload_offset=0),
        gateway.ask("DELETE", f"{theirs}/blobs/{SHA256}"),
        gateway.ask("PUT", f"{theirs}/manifest", b"{}"),
        gateway.ask("GET", f"{theirs}/receipt"),
        gateway.ask("GET", shard),
        gateway.ask("GET", f"/v1/assignments/{world.ROUND}.node-zz.1/receipt"),
    ]
    assert {(answer.status, answer.reason) for answer in answers} == {(403, "foreign_assignment")}


def test_51_a_manifest_that_another_node_signed_is_refused(gateway, tmp_path):
    theirs = world.write_job(gateway.home, tmp_path / "job", node="node-b") / "submission"
    answer = gateway.ask("PUT", f"{MINE}/manifest", (theirs / "submission.json").read_bytes())
    assert (answer.status, answer.reason) == (422, "manifest_refused")
    assert find_inbox(gateway.home.path, world.assignment("node-a")) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"order_sha256": "0" * 64},
        {"assignment_id": f"{world.ROUND}.node-a.2"},
        {"node_id": "node-b"},
        {"round": "r0002"},
        {"files": ()},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_52_a_manifest_for_something_else_is_refused(changes, gateway, tmp_path):
    job = world.write_job(gateway.home, tmp_path / "job", **changes)
    answer = send_all(gateway, job)
    assert (answer.status, answer.reason) == (422, "manifest_refused")
    assert find_inbox(gateway.home.path, world.assignment("node-a")) is None


def test_a_manifest_before_its_blobs_says_which_are_missing(gateway, tmp_path):
    job = world.write_job(gateway.home, tmp_path / "job") / "submission"
    answer = gateway.ask("PUT", f"{MINE}/manifest", (job / "submission.json").read_bytes())
    assert (answer.status, answer.reason) == (409, "blobs_missing")
    digests = {sha256_hex((job / name).read_bytes()) for name in world.SIZES}
    assert set(answer.value["error"]["missing"]) == digests
    assert inbox_files(gateway.home) == []


def test_a_table_larger_than_intake_takes_is_refused_with_its_manifest(home, tmp_path):
    job = world.write_job(home, tmp_path / "job", sizes={**world.SIZES, "diagnostics.parquet": 1})
    with world.running(home) as gateway:
        assert send_all(gateway, job).status == 200
    large = {**world.SIZES, "diagnostics.parquet": (64 << 20) + 1}
    job = world.write_job(home, tmp_path / "large", sizes=large, attempt=2)
    with world.running(home) as gateway:
        place = f"/v1/assignments/{world.assignment('node-a', 2)}"
        manifest = (job / "submission" / "submission.json").read_bytes()
        answer = gateway.ask("PUT", f"{place}/manifest", manifest)
    assert (answer.status, answer.reason) == (413, "too_large")


def test_a_closed_order_takes_no_more(gateway, tmp_path):
    from synnq_assets.records.federation import Reassignment
    from synnq_assets_tests.builders import NOW

    assert gateway.ask("PUT", BLOB, upload_length=len(DATA)).status == 200
    loss = Reassignment(
        lost=world.assignment("node-a"), replacements={}, reason="lost", decided_at=NOW
    )
    gateway.home.campaign.put_loss(loss, gateway.home.coordinator)
    answer = gateway.ask("PATCH", BLOB, DATA, upload_offset=0)
    assert (answer.status, answer.reason) == (409, "order_closed")
    await_until(lambda: inbox_files(gateway.home) == [])  # swept


# --- 21 to 28: paths


@pytest.mark.parametrize(
    "path",
    [
        "/v1/assignments/../../etc/passwd/receipt",
        "/v1/assignments/..%2f..%2fetc/receipt",
        "/v1/assignments/%2e%2e/receipt",
        "/v1/assignments//receipt",
        "/v1/assignments/r0001.node-a.1%00/receipt",
        "/v1/assignments/r0001.node-a.1%0a/receipt",
        "/v1/assignments/R0001.node-a.1/receipt",
        "/v1/assignments/r0001.n%D0%BEde-a.1/receipt",
        "/v1/assignments/r%EF%BC%91001.node-a.1/receipt",
        f"/v1/assignments/{'a' * 300}/receipt",
        f"/v1/orders/{world.assignment('node-a')}/files/../../../audit.sqlite",
        f"/v1/orders/{world.assignment('node-a')}/files/%2e%2e/%2e%2e/settings.json",
        f"/v1/orders/{world.assignment('node-a')}/files//etc/passwd",
        f"/v1/orders/{world.assignment('node-a')}/files/inputs/shards/{'0' * 64}.sealed",
        "//v1/orders",
        "/openapi.json",
    ],
)
def test_21_a_path_that_is_no_id_is_not_found(path, gateway):
    answer = gateway.ask("GET", path)
    assert answer.status == 404
    assert answer.reason in ("no_such_order", "no_such_endpoint", "no_such_file")


@pytest.mark.parametrize("name", ["..", "%2e", "A" * 64, "a" * 63, "a" * 64 + "\n", "\u0661"])
def test_23_a_blob_is_named_by_a_digest_alone(name, gateway):
    raw = build_head(
        "PUT",
        f"{MINE}/blobs/" + "".join(f"%{byte:02x}" for byte in name.encode()),
        "Upload-Length: 9",
    )
    assert read_status(gateway.send(raw)) == 404
    assert inbox_files(gateway.home) == []


# --- 63: two at once


def test_63_a_second_writer_to_an_upload_is_refused_while_the_first_is_at_it(gateway):
    gateway.ask("PUT", BLOB, upload_length=len(DATA))
    head = build_head("PATCH", BLOB, f"Content-Length: {len(DATA)}", "Upload-Offset: 0")
    with gateway.connect() as first:
        first.sendall(head + DATA[:100])
        await_until(lambda: gateway.ask("PATCH", BLOB, b"", upload_offset=0).status == 409)
        second = gateway.ask("PATCH", BLOB, DATA, upload_offset=0)
        assert (second.status, second.reason) == (409, "upload_busy")
        first.sendall(DATA[100:])
        assert read_status(world.read_all(first)) == 200
    (path,) = (gateway.home.path / "inbox").rglob("*.blob")
    assert path.read_bytes() == DATA


def test_63_a_writer_at_another_offset_is_told_the_right_one(gateway):
    gateway.ask("PUT", BLOB, upload_length=len(DATA))
    gateway.ask("PATCH", BLOB, DATA[:100], upload_offset=0)
    for offset in (0, 99, 101, len(DATA)):
        answer = gateway.ask("PATCH", BLOB, b"x", upload_offset=offset)
        assert (answer.status, answer.reason) == (409, "wrong_offset")
        assert answer.headers["upload-offset"] == "100"
    assert gateway.ask("PATCH", BLOB, DATA[100:], upload_offset=100).status == 200


# --- 64: disconnects


def await_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_64_a_disconnect_at_any_byte_leaves_an_upload_that_goes_on(home):
    data = b"forty bytes, cut after each one of them."
    blob = f"{MINE}/blobs/{sha256_hex(data)}"
    head = build_head("PATCH", blob, f"Content-Length: {len(data)}", "Upload-Offset: 0")
    limits = dataclasses.replace(world.LIMITS, max_requests_per_minute=100_000)
    with world.running(home, limits) as gateway, closing(gateway.connect_http()) as kept:
        gateway.ask("PUT", blob, upload_length=len(data))
        for cut in range(len(head)):
            with gateway.connect() as connection:
                connection.sendall(head[:cut])
        assert offset_of(gateway, blob) == 0
        for cut in range(len(data)):
            with gateway.connect() as connection:
                connection.sendall(head + data[:cut])
            resume(gateway, blob, data, most=cut, kept=kept)
            gateway.ask("DELETE", blob, connection=kept)
            gateway.ask("PUT", blob, upload_length=len(data), connection=kept)
        assert [path.rpartition(".")[2] for path in inbox_files(home)] == ["part"]


def resume(gateway, blob, data, most, kept):
    """Go on from where the gateway is, as soon as it has noticed that the other is gone."""

    def finish():
        offset = int(gateway.ask("HEAD", blob, connection=kept).headers["upload-offset"])
        assert offset <= most
        answer = gateway.ask("PATCH", blob, data[offset:], upload_offset=offset, connection=kept)
        return answer.status == 200 and answer.value["is_complete"]

    await_until(finish)


# --- 84: slow clients


def test_84_a_head_that_trickles_loses_its_connection(gateway):
    began = time.monotonic()
    with gateway.connect() as connection, pytest.raises(CLOSED):  # closed under our hands
        for byte in build_head("GET", "/v1/orders", "X-Long: " + "a" * 200):
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
            assert time.monotonic() - began < 8
    assert time.monotonic() - began < 4


def test_84_a_body_that_trickles_is_refused_and_what_came_is_kept(gateway):
    gateway.ask("PUT", BLOB, upload_length=len(DATA))
    head = build_head("PATCH", BLOB, f"Content-Length: {len(DATA)}", "Upload-Offset: 0")
    began = time.monotonic()
    with gateway.connect() as connection:
        connection.sendall(head + DATA[:700])
        answer = world.read_all(connection)
    assert read_status(answer) == 408
    assert b"too_slow" in answer
    assert 0.4 < time.monotonic() - began < 5
    assert offset_of(gateway) == 700
    assert gateway.ask("PATCH", BLOB, DATA[700:], upload_offset=700).value["is_complete"]


def test_84_a_body_that_nobody_reads_any_more_has_to_end_soon(gateway):
    head = build_head("PATCH", BLOB, f"Content-Length: {1 << 20}", "Upload-Offset: 0")
    head = head.replace(b"Connection: close\r\n", b"")
    began = time.monotonic()
    with gateway.connect() as connection:
        connection.sendall(head)
        assert read_status(connection.recv(65536)) == 404  # never declared
        with pytest.raises(CLOSED):
            while time.monotonic() - began < 8:
                connection.sendall(b"x")
                time.sleep(0.05)
    assert time.monotonic() - began < 5


def test_84_silent_connections_do_not_keep_others_out(home):
    limits = dataclasses.replace(world.LIMITS, max_connections=4)
    with world.running(home, limits) as gateway:
        silent = [gateway.connect() for _ in range(4)]
        assert b"503" in gateway.send(build_head("GET", "/v1/orders"))[:20]
        assert all(world.read_all(connection) == b"" for connection in silent)
        assert gateway.ask("GET", "/v1/orders").status == 200
        for connection in silent:
            connection.close()


# --- 86: headers


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 2", "Content-Length: 3"),
        ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Upload-Offset: 0"),
        ("Content-Length: -2", "Upload-Offset: 0"),
        ("Content-Length: 2", "Upload-Offset: 0", "Upload-Offset: 1"),
        ("Content-Length: 2", "Upload-Offset: 0", "Upload_Offset: 1"),
        ("Content-Length: 2", "Upload-Offset: +0"),
        ("Content-Length: 2", "Upload-Offset: 0", "X: a\rSet-Cookie: b"),
        ("Content-Length: 2", "Upload-Offset: 0", "X: a\nY: b", "Z\x00: c"),
        ("Content-Length: 2", "Upload-Offset: 0", "X : a"),
        ("Content-Length: 2", "Upload-Offset: 0", "X: a", "x: b"),
        ("Content-Length: 2", "Upload-Offset: 0", "X: " + "a" * 100_000),
        ("Content-Length: 2", "Upload-Offset: 0", "Range: bytes=0-1,2-3"),
    ],
)
def test_86_headers_that_two_readers_read_differently_are_refused(headers, gateway):
    gateway.ask("PUT", BLOB, upload_length=len(DATA))
    answer = gateway.send(build_head("PATCH", BLOB, *headers) + b"ab")
    assert answer == b"" or read_status(answer) in (400, 411, 431)
    assert b"Set-Cookie" not in answer
    assert offset_of(gateway) == 0


# --- what the log gets


def test_refusals_are_logged_as_counts_without_a_word_of_the_client(gateway):
    for k in range(7):
        gateway.ask("GET", f"/v1/orders/{world.assignment('node-b')}/files/secret{k}")
    gateway.ask("GET", "/v1/%0aforged")
    await_until(lambda: count_refusals(gateway) == 8)
    found = gateway.entries("gateway_refusals")
    assert len(found) <= 4  # at most one a node, reason and report
    node = gateway.home.audit.conceal("node-a")
    assert {(entry.subject, entry.details["reason"]) for entry in found} == {
        (node, "foreign_assignment"),
        (node, "no_such_endpoint"),
    }
    text = "".join(str(entry) for _, entry in gateway.home.audit.iter_entries())
    assert "secret" not in text
    assert "forged" not in text
    time.sleep(0.7)
    assert len(gateway.entries("gateway_refusals")) == len(found)  # nothing new, nothing logged


def count_refusals(gateway):
    return sum(entry.details["count"] for entry in gateway.entries("gateway_refusals"))


def test_no_message_of_the_gateway_holds_what_a_client_sent(gateway, capfd, caplog):
    for path in ("/v1/forged%0d%0aSet-Cookie:x", "/v1/assignments/forged/receipt"):
        assert b"forged" not in gateway.ask("GET", path, x_forged="forged").data
    gateway.send(b"forged\r\n\r\n")
    printed = capfd.readouterr()
    assert "forged" not in printed.out + printed.err + caplog.text


def test_a_suspended_node_finds_its_upload_again_when_it_is_resumed(gateway):
    gateway.ask("PUT", BLOB, upload_length=len(DATA))
    gateway.ask("PATCH", BLOB, DATA[:100], upload_offset=0)
    assert run(["nodes", "suspend", "node-a", *world.at(gateway.home)]) == 0
    assert gateway.ask("PATCH", BLOB, DATA[100:], upload_offset=100).reason == "not_active"
    assert run(["nodes", "resume", "node-a", *world.at(gateway.home)]) == 0
    assert gateway.ask("PATCH", BLOB, DATA[100:], upload_offset=100).value["is_complete"]
    assert isinstance(Home.open(gateway.home.path).audit.size(), int)
