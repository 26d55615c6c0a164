"""Pseudonyms in the audit log, as the holder of their keys handles them; codes of failures."""

import pytest

from synnq_assets.cli.app import run
from synnq_assets.cli.demo.setup import create_demo_home
from synnq_assets.errors import RecordError
from synnq_assets.privacy import build_failure_code
from synnq_assets.records.identifiers import parse_round_key
from synnq_assets.settings import resolve_settings
from synnq_assets_tests.defs.by_hand import reopen


@pytest.fixture
def home(tmp_path):
    return create_demo_home(tmp_path / "home", resolve_settings("local", "smoke"))


@pytest.fixture
def type_synnq(capsys, home, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def type_synnq(*arguments, code=0):
        capsys.readouterr()
        assert run([*map(str, arguments), "--home", str(home.path)]) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return type_synnq


def test_names_are_shown_to_the_holder_of_the_key_until_it_is_destroyed(type_synnq):
    assert "node-east" not in type_synnq("audit", "show", "--last", 0)
    assert "node-east" in type_synnq("audit", "show", "--last", 0, "--names")
    assert "held" in type_synnq("audit", "epochs")
    said = type_synnq("audit", "forget", "0001")
    assert said == "the key of epoch 0001 is destroyed here; backups of it have to be, too\n"
    assert "node-east" not in type_synnq("audit", "show", "--last", 0, "--names")
    assert "destroyed" in type_synnq("audit", "epochs")
    assert "audit log is consistent" in type_synnq("audit", "verify")


def test_an_epoch_that_is_not_there_is_said(type_synnq):
    assert "there is no epoch '7'; there are: 0001" in type_synnq("audit", "forget", 7, code=2)


def test_a_commitment_is_erased_once(type_synnq, home):
    home.audit.log_event("noted", "erika@example.org", actor="coordinator")
    entry = list(home.audit.iter_entries())[-1][1]
    assert "erika" not in entry.model_dump_json()
    assert home.concealer.is_committed(entry.subject, "erika@example.org")
    type_synnq("audit", "erase", entry.subject)
    assert not home.concealer.is_committed(entry.subject, "erika@example.org")
    assert "no salt" in type_synnq("audit", "erase", entry.subject, code=2)


def test_protecting_the_keys_protects_those_of_pseudonyms(type_synnq, home, monkeypatch, tmp_path):
    (tmp_path / "stick").mkdir()
    monkeypatch.setenv("SYNNQ_KEY_FOLDER", str(tmp_path / "stick"))
    before = home.concealer.name_node("node-east")
    type_synnq("keys", "protect", "--wrapper", "file")
    reopened = reopen(home.path)
    assert reopened.concealer.epochs[0].wrapper == "file"
    assert reopened.concealer.name_node("node-east") == before


def test_a_code_is_explained(capsys):
    with pytest.raises(RecordError) as failure:
        parse_round_key("x")
    assert run(["explain", build_failure_code(failure.value)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("RecordError in synnq_assets.records.identifiers:parse_round_key;")
    assert run(["explain", "RecordError@" + "0" * 12]) == 0
    assert "a place that this version does not have" in capsys.readouterr().out
    assert run(["explain", "nonsense"]) == 2
