"""The log in a real PostgreSQL: the same promises, with writers on several connections."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from synnq_assets.errors import AuditError
from synnq_assets.settings.profile import PostgresAudit
from synnq_assets.trust.audit import AuditLog, LogKeys
from synnq_assets.trust.audit.entries import build_entry

psycopg2 = pytest.importorskip("psycopg2")
pytestmark = [pytest.mark.postgres, pytest.mark.slow]
KEYS = LogKeys.generate("synnq-test")


def find_programs():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        if "postgres" in os.environ.get("SYNNQ_TEST_REQUIRE", ""):
            pytest.fail("SYNNQ_TEST_REQUIRE names postgres, but there is no PostgreSQL")
        pytest.skip("there is no PostgreSQL")
    return found[-1]


@pytest.fixture(scope="module")
def server():
    """A private server on a Unix socket, under the account that owns the files."""
    programs = find_programs()
    folder = Path(tempfile.mkdtemp(prefix="synnq-pg-"))
    account = []
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        account = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]
    init = [programs / "initdb", "-D", folder / "data", "-U", "synnq", "-A", "trust", "-N"]
    subprocess.run([*account, *init], check=True, capture_output=True)
    options = ["-D", folder / "data", "-k", folder, "-c", "listen_addresses="]
    process = subprocess.Popen([*account, programs / "postgres", *options], stderr=subprocess.PIPE)
    dsn = f"host={folder} user=synnq dbname=postgres"
    for _ in range(300):
        try:
            psycopg2.connect(dsn).close()
            break
        except psycopg2.OperationalError:
            time.sleep(0.1)
    yield dsn
    process.send_signal(signal.SIGINT)  # fast: does not wait for connections to be closed
    process.communicate()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def dsn(server):
    """A database of its own."""
    connection = psycopg2.connect(server)
    connection.autocommit = True
    connection.cursor().execute("DROP DATABASE IF EXISTS log WITH (FORCE)")
    connection.cursor().execute("CREATE DATABASE log")
    connection.close()
    return server.replace("dbname=postgres", "dbname=log")


def open_log(dsn):
    from synnq_assets.trust.audit.postgres import PostgresDatabase

    return AuditLog(PostgresDatabase(dsn), KEYS)


def build_entries(count):
    return [build_entry("event", "e", str(k), actor="a", details={}) for k in range(count)]


def test_both_databases_give_the_same_tree(dsn, tmp_path):
    entries = build_entries(300)
    logs = [open_log(dsn), AuditLog(tmp_path / "audit.sqlite", KEYS)]
    with pytest.raises(AuditError, match="there is no log"):
        logs[0].verify(KEYS.verifier)
    for log in logs:
        for begin in range(0, 300, 77):
            log.append_all(entries[begin : begin + 77])
    assert logs[0].verify(KEYS.verifier) == logs[1].verify(KEYS.verifier)
    assert logs[0].prove_inclusion(123, 300) == logs[1].prove_inclusion(123, 300)
    assert logs[0].prove_consistency(77, 300) == logs[1].prove_consistency(77, 300)
    assert [e for _, e in logs[0].iter_entries(290)] == entries[290:]


def append_twenty(dsn, folder, name):
    from synnq_assets.trust.audit.postgres import PostgresDatabase

    log = AuditLog(PostgresDatabase(dsn), LogKeys.read(folder, "synnq-test"))
    for k in range(20):
        log.log_event("event", f"{name}-{k}", actor="coordinator")


def test_many_writers_and_nothing_is_lost(dsn, tmp_path):
    KEYS.write(tmp_path)
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=append_twenty, args=(dsn, tmp_path, f"p{k}")) for k in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    log = open_log(dsn)
    assert log.verify(KEYS.verifier)[0] == 60
    assert len({entry.subject for _, entry in log.iter_entries()}) == 60


@pytest.mark.parametrize(
    "statement", ["UPDATE entry SET body = ''", "DELETE FROM checkpoint", "TRUNCATE node"]
)
def test_the_database_itself_refuses_to_change_an_entry(dsn, statement):
    open_log(dsn).append_all(build_entries(3))
    with psycopg2.connect(dsn) as connection, pytest.raises(psycopg2.Error, match="append-only"):
        connection.cursor().execute(statement)


def test_an_act_that_fails_in_the_database_leaves_nothing(dsn):
    log = open_log(dsn)
    log.append_all(build_entries(3))
    with pytest.raises(RuntimeError), log.database.writing() as db:
        db.insert("entry", [(3, b"x")], 2)
        raise RuntimeError
    assert log.verify(KEYS.verifier)[0] == 3
    log.append_all(build_entries(1))
    assert log.verify(KEYS.verifier)[0] == 4


def test_a_connection_that_was_cut_is_an_error_once_and_then_mended(dsn, server):
    log = open_log(dsn)
    log.append_all(build_entries(3))
    with psycopg2.connect(server) as connection:
        connection.cursor().execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'log'"
        )
    with pytest.raises(AuditError, match="PostgreSQL"):
        log.append_all(build_entries(1))
    log.append_all(build_entries(1))
    assert log.verify(KEYS.verifier)[0] == 4


def test_a_home_keeps_its_log_where_its_profile_says(dsn, tmp_path):
    from synnq_assets.cli.home import grant_own_keys
    from synnq_assets.settings import resolve_settings
    from synnq_assets.trust import Home

    settings = resolve_settings("local", "smoke")
    profile = settings.profile.model_copy(update={"audit": PostgresAudit(dsn=dsn)})
    home = Home.create(tmp_path / "home", settings.model_copy(update={"profile": profile}))
    grant_own_keys(home)
    size = Home.open(home.path).audit.verify(home.log_verifier)[0]
    assert size >= 2
    assert not (home.path / "audit.sqlite").exists()


def test_a_server_that_is_not_there_is_one_sentence():
    with pytest.raises(AuditError, match="cannot open the audit log in PostgreSQL"):
        open_log("host=/nonexistent user=synnq dbname=log").size()
