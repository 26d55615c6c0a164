"""What a client can do to the server itself: raw bytes over a socket, to the server that runs."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from synnq_assets.serving import ServingLimits, create_app
from synnq_assets.serving.server import build_server
from synnq_assets_tests.serving.served_release import KEY, KEY_HASH, build_served_release

LIMITS = ServingLimits(max_tokens=40, head_seconds=0.5, body_seconds=0.5, max_connections=8)
SECRET = "Paul\r\n2026-01-01 CRITICAL: forged \x1b[31m"


@dataclass
class Running:
    """The server, and how to reach it."""

    app: object
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def send(self, data: bytes) -> bytes:
        """Return all that comes back until the server closes."""
        with self.connect() as connection:
            connection.sendall(data)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    found = b""
    while data := connection.recv(65536):
        found += data
    return found


def build_request(*headers: str, body: bytes = b"", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    lines = [
        "POST /v1/completions HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        f"Authorization: Bearer {KEY}",
        *(headers or ("Content-Type: application/json", f"Content-Length: {size}")),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def build_body(**changes: object) -> bytes:
    return json.dumps({"model": "synnq-smoke", "prompt": "x", "max_tokens": 2, **changes}).encode()


def read_status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    verified = build_served_release(tmp_path_factory.mktemp("served"))
    app = create_app(verified, api_keys=[KEY_HASH], limits=LIMITS)
    server = build_server(app, host="127.0.0.1", port=0, limits=LIMITS)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield Running(app, server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    thread.join(timeout=20)


def test_a_whole_request_is_answered(running: Running):
    answer = running.send(build_request(body=build_body()))
    assert read_status(answer) == 200
    assert b"checkpoint_sha256" in answer


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Type: application/json", "Content-Length: 2", "Content-Length: 3"),
        ("Content-Type: application/json", "Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Content-Type: application/json", "Content-Length: -2"),
        ("Content-Type: application/json", "Content-Length: 2", "X: a\rSet-Cookie: b"),
        ("Content-Type: application/json", "Content-Length: 2", "X: a\nY: b", "Z\x00: c"),
        ("Content-Type: application/json", "Content-Length: 2", "X : a"),
        ("Content-Type: application/json", "Content-Length: 2", "X: " + "a" * 100_000),
        ("Content-Type: application/json", "Content-Type: text/plain", "Content-Length: 2"),
    ],
)
def test_headers_that_two_readers_read_differently_are_refused(
    headers: tuple[str, ...], running: Running
):
    answer = running.send(build_request(*headers, body=b"{}"))
    assert read_status(answer) == 400
    assert b"Set-Cookie" not in answer


def test_a_body_that_ends_early_is_given_up(running: Running):
    with running.connect() as connection:
        connection.sendall(build_request(body=b'{"model"', length=1000))
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b""  # nobody is there to be told
    assert read_status(running.send(build_request(body=b'{"model"', length=1000))) == 408
    assert read_status(running.send(build_request(body=build_body()))) == 200


def test_a_head_that_trickles_loses_its_connection(running: Running):
    began = time.monotonic()
    with running.connect() as connection, pytest.raises(ConnectionError):  # closed by the server
        for byte in build_request(body=build_body()):
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
            assert time.monotonic() - began < 5
    assert time.monotonic() - began < 2


def test_connections_that_say_nothing_do_not_keep_others_out(running: Running):
    silent = [running.connect() for _ in range(LIMITS.max_connections)]
    assert read_status(running.send(build_request(body=build_body()))) == 503
    assert all(read_all(connection) == b"" for connection in silent)  # closed by the server
    assert read_status(running.send(build_request(body=build_body()))) == 200
    for connection in silent:
        connection.close()


def test_a_kept_connection_is_not_cut_while_it_is_answered(running: Running):
    head = build_request(body=build_body()).replace(b"Connection: close\r\n", b"")
    with running.connect() as connection:
        for _ in range(2):
            connection.sendall(head)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            time.sleep(0.7)  # longer than a head may take; idle, a connection has 5 seconds


def test_an_aborted_stream_ends_its_generation(running: Running, monkeypatch: pytest.MonkeyPatch):
    engine = running.app.state.service.engine  # type: ignore[attr-defined]
    predict, calls = engine._predict, []

    def predict_slowly(*arguments: object) -> object:
        calls.append(time.monotonic())
        time.sleep(0.05)
        return predict(*arguments)

    monkeypatch.setattr(engine, "_predict", predict_slowly)
    monkeypatch.setattr(engine, "_end_token", -1)  # so that all 40 tokens would come
    with running.connect() as connection:
        connection.sendall(
            build_request(body=build_body(stream=True, max_tokens=40, temperature=2.0))
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        while len(calls) < 3:
            time.sleep(0.02)
    time.sleep(0.3)
    num_calls = len(calls)
    time.sleep(0.5)
    assert len(calls) == num_calls < 40
    monkeypatch.undo()
    assert read_status(running.send(build_request(body=build_body()))) == 200


def test_a_prompt_never_reaches_a_log(
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
):
    caplog.set_level(logging.DEBUG)
    engine = running.app.state.service.engine  # type: ignore[attr-defined]

    def fail(text: str) -> list[int]:
        raise ValueError(f"cannot encode {text}")

    assert read_status(running.send(build_request(body=build_body(prompt=SECRET)))) == 200
    assert read_status(running.send(build_request(body=build_body(prompt=[SECRET, 1])))) == 400
    assert read_status(running.send(build_request(body=build_body(**{SECRET: 1})))) == 400
    running.send(b"GET /v1/%0d%0aforged HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    monkeypatch.setattr(engine, "encode", fail)
    answer = running.send(build_request(body=build_body(prompt=SECRET)))
    assert read_status(answer) == 500
    printed = capfd.readouterr()
    logged = caplog.text + printed.out + printed.err
    assert "ValueError in fail" in logged  # class and place are enough to find the fault
    for part in ("Paul", "forged", "\x1b"):
        assert part not in logged
        assert part.encode() not in answer
