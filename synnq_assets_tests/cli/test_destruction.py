"""Destroying, through the commands of both sides."""

import io

import pytest

from synnq_assets.cli.app import run
from synnq_assets.cli.demo.setup import NODES, create_demo_home
from synnq_assets.cli.home import open_home
from synnq_assets.defs.federation import decide_allocation, issue_orders
from synnq_assets.federation import Registry
from synnq_assets.federation.destruction import list_certificates
from synnq_assets.settings import resolve_settings
from synnq_assets.trust.audit import AuditEntry
from synnq_assets_tests.builders import digest_of
from synnq_assets_tests.defs.by_hand import publish_shard, put_base, start

ASSIGNMENT = "r0001.node-east.1"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "home"
    home = create_demo_home(path, resolve_settings("local", "smoke"))
    start(home)
    publish_shard(home, "s0", licences={"MIT": 3})
    publish_shard(home, "s1", sources={"web": 3})
    for k in range(2, 8):
        publish_shard(home, f"s{k}", sources={"web": 3})
    base = put_base(home, nodes=[node.node_id for node in NODES])
    issue_orders(home, base, decide_allocation(home, base).assignments)
    return path


@pytest.fixture
def synnq(demo, capsys, monkeypatch):
    monkeypatch.setenv("SYNNQ_HOME", "")
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments, at_node=False):
        capsys.readouterr()
        code = run([*map(str, arguments), *([] if at_node else ["--home", str(demo)])])
        out, err = capsys.readouterr()
        return code, " ".join((out + err).split())

    return call


def acts(demo, action) -> list[AuditEntry]:
    return [e for _, e in open_home(demo).audit.iter_entries() if e.action == action]


def test_shredding_says_what_it_destroys_and_is_an_act(demo, synnq):
    code, out = synnq("shards", "shred", "--licence", "MIT", "--yes")
    assert code == 0
    assert "destroyed 1 data keys; destroy backups of the home as well" in out
    home = open_home(demo)
    assert home.campaign.is_destroyed(digest_of("s0"))
    assert not home.campaign.is_destroyed(digest_of("s1"))
    intent, result = acts(demo, "destroy_shards")
    assert (intent.phase, intent.subject, intent.actor) == ("intent", "licence MIT", "steward")
    assert (result.phase, result.details["shards"]) == ("result", 1)


def test_without_a_yes_nothing_is_destroyed(demo, synnq, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert synnq("shards", "shred", "--source", "web")[0] != 0
    assert not open_home(demo).campaign.is_destroyed(digest_of("s1"))


def test_a_choice_that_is_none_is_refused(synnq):
    code, out = synnq("shards", "shred")
    assert (code, "exactly one of shard, source, licence, or all" in out) == (2, True)
    code, out = synnq("shards", "shred", "--shard", "0" * 64, "--yes")
    assert (code, "no shard fits" in out) == (2, True)


def write_job(demo):
    home = open_home(demo)
    job = home.path / "jobs" / ASSIGNMENT
    (job / "inputs" / "shards").mkdir(parents=True, exist_ok=True)
    (job / "inputs" / "shards" / "x.sealed").write_bytes(b"sealed")
    (job / "order.json").write_bytes(home.store.get_bytes(f"rounds/r0001/orders/{ASSIGNMENT}.json"))
    return job


def test_a_node_destroys_and_the_coordinator_takes_its_certificate(demo, synnq):
    job, node = write_job(demo), demo / "nodes" / "node-east"
    command = ("nodes", "destroy", node, "--jobs", demo / "jobs")
    code, out = synnq(*command, at_node=True)
    assert (code, "no job of node-east that ended" in out) == (2, True)
    code, out = synnq(*command, "--assignment", ASSIGNMENT, at_node=True)
    assert (code, f"destroyed the shards of {ASSIGNMENT}" in out) == (0, True)
    assert list((job / "inputs" / "shards").iterdir()) == []
    (certificate,) = node.glob("destruction-*.json")
    code, out = synnq("nodes", "certify", certificate)
    assert (code, out) == (0, "node-east certified 2 shards as destroyed")
    home = open_home(demo)
    (told,) = list_certificates(Registry(home.ledger))
    assert told.assignment_ids == (ASSIGNMENT,)
    intent, result = acts(demo, "certify_destruction")
    assert (result.phase, result.intent) == ("result", acts_at(home, intent))
    assert home.concealer.reveal(result.details["node"]) == "node-east"
    assert (job / "order.json").exists()


def acts_at(home, wanted):
    return next(k for k, entry in home.audit.iter_entries() if entry == wanted)


def test_a_certificate_that_somebody_else_changed_is_refused(demo, synnq, tmp_path):
    node = demo / "nodes" / "node-east"
    write_job(demo)
    synnq(
        *("nodes", "destroy", node, "--jobs", demo / "jobs", "--assignment", ASSIGNMENT),
        at_node=True,
    )
    certificate = max(node.glob("destruction-*.json"), key=lambda path: path.stat().st_mtime_ns)
    changed = tmp_path / "certificate.json"
    changed.write_bytes(certificate.read_bytes().replace(b'"sig":"', b'"sig":"A'))
    code, out = synnq("nodes", "certify", changed)
    assert (code, "certificate refused" in out) == (2, True)
