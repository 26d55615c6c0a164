"""What the audit log calls nodes, for how long that can be turned back, and how it ends."""

import hashlib
import hmac
import re
from datetime import timedelta

import pytest

from synnq_assets.errors import TrustError
from synnq_assets.privacy import build_pseudonym
from synnq_assets.records.base import now_at
from synnq_assets.records.identifiers import parse_assignment_id, parse_node_id
from synnq_assets.trust import concealing
from synnq_assets.trust.concealing import Concealer
from synnq_assets.trust.wrapping import FileWrapper

NODES = frozenset({"node-east", "node-north"})


@pytest.fixture
def concealer(tmp_path):
    return make(tmp_path / "pseudonyms")


def make(folder, wrapper=None, days=90):
    return Concealer(folder, "synnq-test", days, lambda: NODES, lambda: wrapper)


def test_a_pseudonym_is_the_truncated_hmac_of_the_node_id():
    expected = hmac.new(b"k" * 32, b"node\0node-east", hashlib.sha256).hexdigest()[:12]
    assert build_pseudonym(b"k" * 32, "node-east") == f"p-{expected}"
    assert build_pseudonym(b"l" * 32, "node-east") != f"p-{expected}"


def test_ids_keep_their_form(concealer):
    name = concealer.name_node("node-east")
    assert parse_node_id(name) == name
    assert concealer.conceal("r0001.node-east.1") == f"r0001.{name}.1"
    assert parse_assignment_id(f"r0001.{name}.1") == ("r0001", name, 1)
    assert concealer.conceal("r0001|node-east") == f"r0001|{name}"
    assert concealer.conceal("node-east") == name
    assert concealer.conceal("local-r0001.node-east.12").endswith(f"{name}.12")


def test_a_node_that_is_not_known_is_hidden_in_its_place(concealer):
    hidden = concealer.conceal("r0001.erika-mustermann.1 r0002|node-erika")
    assert re.fullmatch(r"r0001\.p-[0-9a-f]{12}\.1 r0002\|p-[0-9a-f]{12}", hidden)


@pytest.mark.parametrize(
    "text",
    ["coordinator", "steward, release, log", "sample-eu", "a" * 64, "", "de.health", "r0001"],
)
def test_what_names_no_node_stays(concealer, text):
    assert concealer.conceal(text) == text


def test_concealing_twice_changes_nothing(concealer):
    once = concealer.conceal("r0001.node-east.1 and node-north")
    assert concealer.conceal(once) == once


def test_another_process_gives_the_same_pseudonyms(concealer, tmp_path):
    name = concealer.name_node("node-east")
    assert make(tmp_path / "pseudonyms").name_node("node-east") == name
    assert concealer.reveal(f"r0001.{name}.1") == "r0001.node-east.1"


def test_a_new_epoch_has_new_pseudonyms_and_both_resolve(concealer, tmp_path, monkeypatch):
    first = concealer.name_node("node-east")
    later = now_at() + timedelta(days=91)
    monkeypatch.setattr(concealing, "now_at", lambda: later)
    second = make(tmp_path / "pseudonyms").name_node("node-east")
    assert first != second
    assert concealer.reveal(f"{first} {second}") == "node-east node-east"
    assert [epoch.name for epoch in concealer.epochs] == ["0002", "0001"]


def test_a_forgotten_epoch_resolves_for_nobody_and_the_next_begins(concealer, tmp_path):
    name = concealer.name_node("node-east")
    other = make(tmp_path / "pseudonyms")  # another process, which holds the key in memory
    assert other.name_node("node-east") == name
    path = tmp_path / "pseudonyms" / "0001.json"
    secret = concealer.epochs[0].secret
    concealer.forget("0001")
    assert secret not in path.read_text()
    assert concealer.reveal(name) == other.reveal(name) == name
    assert other.name_node("node-east") != name
    assert [epoch.name for epoch in concealer.epochs] == ["0002", "0001"]


def test_an_unknown_epoch_is_named(concealer):
    with pytest.raises(TrustError, match="there is no epoch '0007'; there are: none"):
        concealer.forget("0007")


def test_a_key_is_protected_as_the_coordinators_and_its_secret_destroyed(tmp_path, monkeypatch):
    secrets = tmp_path / "stick"
    secrets.mkdir()
    monkeypatch.setenv("SYNNQ_KEY_FOLDER", str(secrets))
    concealer = make(tmp_path / "pseudonyms", wrapper="file")
    name = concealer.name_node("node-east")
    path = tmp_path / "pseudonyms" / "0001.json"
    assert path.stat().st_mode & 0o077 == 0
    backup = path.read_bytes()
    assert list(secrets.rglob("*.key"))
    concealer.forget("0001")
    assert not list(secrets.rglob("*.key"))
    path.write_bytes(backup)  # from a backup, say: it does not open any more
    with pytest.raises(TrustError, match="it was destroyed"):
        make(tmp_path / "pseudonyms", wrapper="file").reveal(name)


def test_keys_are_wrapped_anew_with_the_others(concealer, tmp_path, monkeypatch):
    name = concealer.name_node("node-east")
    (tmp_path / "stick").mkdir()
    monkeypatch.setenv("SYNNQ_KEY_FOLDER", str(tmp_path / "stick"))
    assert concealer.rewrap(FileWrapper(tmp_path / "stick")) == 1
    assert concealer.epochs[0].wrapper == "file"
    assert concealer.name_node("node-east") == name
    assert concealer.rewrap(None) == 1
    assert make(tmp_path / "pseudonyms").name_node("node-east") == name


def test_a_damaged_epoch_is_named(concealer, tmp_path):
    concealer.name_node("node-east")
    (tmp_path / "pseudonyms" / "0001.json").write_bytes(b"{}")
    with pytest.raises(TrustError, match=r"0001\.json is damaged"):
        make(tmp_path / "pseudonyms").name_node("node-east")


# --- commitments


@pytest.mark.parametrize(
    "text", ["erika@example.org", "10.1.2.3", "/home/erika/run", "gpu-7.cluster.example.org"]
)
def test_what_looks_personal_becomes_a_commitment(concealer, text):
    hidden = concealer.conceal(f"enrolled {text}")
    assert re.fullmatch(r"c-[0-9a-f]{32}", hidden)
    assert concealer.is_committed(hidden, f"enrolled {text}")
    assert not concealer.is_committed(hidden, f"enrolled {text}!")


def test_the_same_text_is_never_committed_to_twice_alike(concealer):
    assert concealer.commit("University") != concealer.commit("University")


def test_an_erased_commitment_says_nothing_to_anybody(concealer, tmp_path):
    commitment = concealer.commit("University of Example")
    concealer.erase(commitment)
    assert not concealer.is_committed(commitment, "University of Example")
    assert not list((tmp_path / "pseudonyms" / "salts").iterdir())
    with pytest.raises(TrustError, match="no salt"):
        concealer.erase(commitment)


def test_a_commitment_is_no_way_to_another_file(concealer):
    with pytest.raises(TrustError, match="a commitment is c-"):
        concealer.erase("../0001.json")
