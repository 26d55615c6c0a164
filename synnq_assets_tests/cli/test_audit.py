"""The audit log as an operator, a witness and a stranger meet it on the command line."""

import subprocess
import sys
import threading

import pytest

from synnq_assets.cli.app import run
from synnq_assets.cli.home import grant_own_keys
from synnq_assets.cli.witness import build_server
from synnq_assets.settings import resolve_settings
from synnq_assets.trust import Home
from synnq_assets.trust.audit.witness import Witness


@pytest.fixture
def home(tmp_path):
    home = Home.create(tmp_path / "home", resolve_settings("local", "smoke"))
    grant_own_keys(home)
    return home


@pytest.fixture
def type_synnq(capsys, home):
    def type_synnq(*arguments, code=0):
        capsys.readouterr()
        assert run([*map(str, arguments)]) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return type_synnq


@pytest.fixture
def served(tmp_path, type_synnq, home):
    keys = type_synnq("audit", "keys", "--home", home.path).split()
    flags = [word for key in keys for word in ("--log-key", key)]
    type_synnq("audit", "witness", "init", tmp_path / "w", "--name", "example.org/w", *flags)
    server = build_server(Witness(tmp_path / "w"), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Witness(tmp_path / "w")
    server.shutdown()
    server.server_close()


def test_the_log_verifies_and_extends_what_was_seen(type_synnq, home, tmp_path):
    (tmp_path / "seen").write_text(type_synnq("audit", "head", "--home", home.path))
    home.audit.log_event("e", "s", actor="coordinator")
    said = type_synnq("audit", "verify", "--home", home.path, "--seen", tmp_path / "seen")
    size, root = home.audit.head()
    assert said == (
        f"audit log is consistent: {size} entries, root {root}, extends 1 seen before\n"
    )
    (tmp_path / "seen").write_text("nothing")
    said = type_synnq("audit", "verify", "--home", home.path, "--seen", tmp_path / "seen", code=2)
    assert said.startswith("error: a note")


def test_a_stranger_checks_an_export_with_a_receipt(type_synnq, home, tmp_path):
    type_synnq("audit", "receipt", 1, "--out", tmp_path / "r", "--home", home.path)
    said = type_synnq("audit", "export", tmp_path / "export", "--home", home.path)
    vkey = said.rsplit("'", 2)[1]
    program = tmp_path / "export" / "verify_export.py"
    command = [sys.executable, "-I", "-S", program, tmp_path / "export", "--vkey", vkey]
    done = subprocess.run(
        [*command, "--receipt", tmp_path / "r"], capture_output=True, text=True, check=True
    )
    assert "grant_keys" in done.stdout
    said = type_synnq("audit", "receipt", 99, "--out", tmp_path / "r", "--home", home.path, code=2)
    assert said == "error: no entry 99 in a log of 2 entries\n"


def test_a_witness_co_signs_as_the_log_grows(type_synnq, home, served):
    url, witness = served
    for grows in (True, True, False, False):
        arguments = ("audit", "cosign", url, "--vkey", witness.verifier.vkey)
        said = type_synnq(*arguments, "--home", home.path)
        size, _ = home.audit.head()
        assert said == f"example.org/w co-signed the head of {size} entries\n"
        assert b"example.org/w" in home.audit.signed_head()
        if grows:
            home.audit.log_event("e", "s", actor="coordinator")
    assert f"{size} entries" in type_synnq("audit", "witness", "show", witness.folder)


def copy_log(home):
    home.audit.database.connect().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    home.audit.database.close()
    return home.audit.database.path.read_bytes()


def put_back(home, backup):
    home.audit.database.close()
    for path in home.path.glob("audit.sqlite*"):
        path.unlink()
    home.audit.database.path.write_bytes(backup)


def test_a_log_that_was_put_back_is_told_by_its_witness(type_synnq, home, served):
    url, witness = served
    backup = copy_log(home)
    home.audit.log_event("e", "s", actor="coordinator")
    cosign = ("audit", "cosign", url, "--vkey", witness.verifier.vkey, "--home", home.path)
    type_synnq(*cosign)
    put_back(home, backup)
    assert "it was cut" in type_synnq(*cosign, code=2)
    home.audit.log_event("other", "s", actor="coordinator")
    assert "another tree of the same size" in type_synnq(*cosign, code=2)


def test_mistakes_about_a_witness_end_in_one_sentence(type_synnq, home, served, tmp_path):
    url, witness = served
    own = type_synnq("audit", "keys", "--home", home.path).split()[0]
    at = ("--home", home.path)
    assert "log's own key" in type_synnq("audit", "cosign", url, "--vkey", own, *at, code=2)
    for bad in ("ftp://x", "http://127.0.0.1:1"):
        said = type_synnq("audit", "cosign", bad, "--vkey", witness.verifier.vkey, *at, code=2)
        assert bad in said
    assert "holds no witness" in type_synnq("audit", "witness", "show", tmp_path, code=2)
    other = Witness.create(tmp_path / "x", "example.net/x", witness.settings.log_vkeys)
    said = type_synnq("audit", "cosign", url, "--vkey", other.verifier.vkey, *at, code=2)
    assert "no known key" in said


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("POST /add-checkpoint", "Content-Length: 3\r\n\r\nabc", 400),
        ("POST /add-checkpoint", "Content-Length: 999999999\r\n\r\n", 413),
        ("POST /add-checkpoint", "\r\n", 404),
        ("POST /add-checkpoint", "Content-Length: -1\r\n\r\n", 404),
        ("POST /else", "Content-Length: 0\r\n\r\n", 404),
        ("GET /add-checkpoint", "\r\n", 501),
    ],
)
def test_odd_requests_get_their_status(served, request_line, headers, status):
    import socket

    host, port = served[0].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{request_line} HTTP/1.1\r\nHost: w\r\n{headers}".encode())
        assert f" {status} ".encode() in connection.recv(4096)
