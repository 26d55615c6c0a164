"""The registry through the commands: who may come in, whose word counts when, and the root."""

import json
import shutil

import pytest

from synnq_assets.cli.app import run
from synnq_assets.cli.home import grant_own_keys, open_home
from synnq_assets.errors import SignatureError
from synnq_assets.federation import NodeApplication, Registry
from synnq_assets.federation.enrolment import KeyRotation
from synnq_assets.records.federation import NodeProfile
from synnq_assets.settings import load_node_settings, resolve_settings
from synnq_assets.trust import Home, SigningKey, open_envelope, sign_record
from synnq_assets.trust.encoding import encode_base64
from synnq_assets.trust.keyfiles import node_key_file
from synnq_assets_tests.builders import build_agreement, build_profile
from synnq_assets_tests.cli.test_nodes import enrol

SMALL_ORDER = f"ed25519:{encode_base64(bytes([1]) + bytes(31))}"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNNQ_HOME", "")
    monkeypatch.setenv("COLUMNS", "200")
    created = Home.create(tmp_path / "home", resolve_settings("local", "smoke"))
    grant_own_keys(created)
    return created


@pytest.fixture
def node(home, tmp_path):
    return enrol(home, tmp_path, "site-a")


@pytest.fixture
def synnq(home, capsys):
    """Run a command on the home; return (exit code, everything printed on one line)."""

    def call(*arguments, at_node=False):
        capsys.readouterr()
        where = [] if at_node else ["--home", str(home.path)]
        code = run([*map(str, arguments), *where])
        out, err = capsys.readouterr()
        return code, " ".join((out + err).split())

    return call


def signing_key(folder):
    return SigningKey.read(node_key_file(load_node_settings(folder / "node.yaml"), "signing"))


def judge(home, key, at, node_id="site-a"):
    """Open something that a node signed, as it is judged at a position."""
    data = sign_record(build_profile(node_id), key)
    ring = open_home(home.path).keyring
    return open_envelope(data, NodeProfile, ring, roles=("node",), identity=node_id, at=at)


# --- enrolment


def apply(key, node_id, **changes):
    values = dict(
        node_id=node_id,
        organisation="A",
        signing_public_key=key.public_key,
        sealing_public_key=encode_base64(bytes([9]) + bytes(31)),
        profile=build_profile(node_id),
        agreement=build_agreement(node_id),
    )
    return NodeApplication(**{**values, **changes})


def test_a_small_order_key_is_refused_at_enrolment(synnq, tmp_path):
    application = apply(SigningKey.generate(), "site-b", signing_public_key=SMALL_ORDER)
    (tmp_path / "b.json").write_bytes(sign_record(application, SigningKey.generate()))
    code, text = synnq("nodes", "enrol", tmp_path / "b.json")
    assert code == 2
    assert "application refused: public key has small order" in text


def test_the_key_of_node_a_cannot_be_enrolled_as_node_b(home, node, synnq, tmp_path):
    key = signing_key(node)
    (tmp_path / "b.json").write_bytes(sign_record(apply(key, "site-b"), key))
    code, text = synnq("nodes", "enrol", tmp_path / "b.json")
    assert code == 2
    assert "is or was the node key of site-a; every party needs a key of its own" in text
    assert Registry(home.ledger).find("site-b") is None


def test_the_key_of_node_a_does_not_sign_as_node_b(home, node, tmp_path):
    enrol(home, tmp_path, "site-b")
    with pytest.raises(SignatureError, match="signed by 'site-a', but it claims to be 'site-b'"):
        judge(home, signing_key(node), home.audit.size(), "site-b")


# --- windows


def test_a_revoked_key_counts_before_its_index_and_not_after(home, node, synnq):
    key, before = signing_key(node), home.audit.size() - 1
    assert judge(home, key, before)
    assert synnq("nodes", "revoke", "site-a")[0] == 0
    assert judge(home, key, before)
    revoked_at = Registry(home.ledger).get("site-a").audit_index
    assert judge(home, key, revoked_at - 1)
    for at in (revoked_at, revoked_at + 10, None):
        with pytest.raises(SignatureError):
            judge(home, key, at)
    with pytest.raises(SignatureError, match="not yet enrolled"):
        judge(home, key, 0)


def test_suspension_is_a_gap(home, node, synnq):
    key = signing_key(node)
    assert synnq("nodes", "suspend", "site-a")[0] == 0
    suspended_at = Registry(home.ledger).get("site-a").audit_index
    assert synnq("nodes", "resume", "site-a")[0] == 0
    resumed_at = Registry(home.ledger).get("site-a").audit_index
    assert judge(home, key, suspended_at - 1)
    with pytest.raises(SignatureError, match=f"not valid at position {suspended_at}"):
        judge(home, key, suspended_at)
    assert judge(home, key, resumed_at)
    assert judge(home, key, None)


def test_the_cap_of_a_node_is_in_its_record_and_in_the_list(home, node, synnq):
    assert synnq("nodes", "cap", "site-a", "0.25") == (
        0,
        "site-a has at most 25.0% of a round's weights",
    )
    assert Registry(home.ledger).get("site-a").weight_cap == 0.25
    assert "0.25" in synnq("nodes", "list")[1]
    assert synnq("nodes", "cap", "site-a", "1.5")[0] == 2


# --- rotation of a node's keys


def test_a_node_takes_new_keys(home, node, synnq):
    old = signing_key(node)
    assert synnq("nodes", "rotate-key", node, at_node=True)[0] == 0
    first = (node / "rotation.json").read_bytes()
    assert synnq("nodes", "rotate-key", node, at_node=True)[0] == 0  # again: the same keys
    assert signing_key(node) == old or signing_key(node).public_key == old.public_key
    code, text = synnq("nodes", "rotate", node / "rotation.json")
    assert (code, text) == (0, "site-a has new keys")
    assert synnq("nodes", "rotate-key", node, "--activate", at_node=True)[0] == 0
    new, record = signing_key(node), Registry(home.ledger).get("site-a")
    assert new.public_key == record.signing_public_key != old.public_key
    assert judge(home, old, record.audit_index - 1)
    with pytest.raises(SignatureError, match="rotated out"):
        judge(home, old, record.audit_index)
    assert judge(home, new, record.audit_index)
    with pytest.raises(SignatureError, match="not yet enrolled"):
        judge(home, new, record.audit_index - 1)
    settings = load_node_settings(node / "node.yaml")
    assert settings.previous_sealing_key == (node / "keys/sealing.pem").resolve()
    (node / "rotation.json").write_bytes(first)  # replayed
    assert "not from its present key" in synnq("nodes", "rotate", node / "rotation.json")[1]
    assert "has no next keys" in synnq("nodes", "rotate-key", node, "--activate", at_node=True)[1]
    assert synnq("nodes", "rotate-key", node, at_node=True)[0] == 0
    assert synnq("nodes", "rotate", node / "rotation.json")[0] == 0


@pytest.mark.parametrize("kept", [0, 1])
def test_a_rotation_with_one_signature_missing_is_refused(home, node, synnq, kept):
    synnq("nodes", "rotate-key", node, at_node=True)
    path = node / "rotation.json"
    envelope = json.loads(path.read_bytes())
    envelope["signatures"] = [envelope["signatures"][kept]]
    path.write_bytes(json.dumps(envelope).encode())
    code, text = synnq("nodes", "rotate", path)
    assert code == 2
    assert "rotation refused: signed by an unknown key" in text
    envelope["signatures"] *= 2  # the same key twice
    path.write_bytes(json.dumps(envelope).encode())
    assert synnq("nodes", "rotate", path)[0] == 2
    record = Registry(home.ledger).get("site-a")
    assert record.signing_public_key == signing_key(node).public_key


def test_nobody_rotates_to_a_key_that_was_seen_before(home, node, synnq, tmp_path):
    other = signing_key(enrol(home, tmp_path, "site-b"))
    key = signing_key(node)
    for taken in (other, home.steward, key):
        rotation = KeyRotation(
            node_id="site-a",
            old_signing_public_key=key.public_key,
            signing_public_key=taken.public_key,
            sealing_public_key=encode_base64(bytes([9]) + bytes(31)),
            requested_at=build_agreement().signed_at,
        )
        (tmp_path / "r.json").write_bytes(sign_record(rotation, key, taken))
        assert (
            "every party needs a key of its own" in synnq("nodes", "rotate", tmp_path / "r.json")[1]
        )


@pytest.mark.parametrize("status", ["suspend", "revoke"])
def test_a_node_without_a_voice_takes_no_new_keys(home, node, synnq, status):
    synnq("nodes", "rotate-key", node, at_node=True)
    assert synnq("nodes", status, "site-a")[0] == 0
    code, text = synnq("nodes", "rotate", node / "rotation.json")
    assert code == 2
    assert "resume it first" in text or "is revoked" in text


# --- what strangers see


def test_an_export_is_checked_by_whoever_has_the_root(home, node, synnq, tmp_path):
    assert synnq("nodes", "export", tmp_path / "out")[0] == 0
    root = tmp_path / "out" / "root.json"
    check = ("nodes", "check", tmp_path / "out", "--root", root, "--state", tmp_path / "state")
    code, text = synnq(*check, at_node=True)
    assert code == 0
    assert "site-a" in text
    shutil.copytree(tmp_path / "out", tmp_path / "old")
    assert synnq("nodes", "suspend", "site-a")[0] == 0
    assert synnq("nodes", "export", tmp_path / "out")[0] == 0
    assert "suspended" in synnq(*check, at_node=True)[1]
    shutil.rmtree(tmp_path / "out")
    shutil.copytree(tmp_path / "old", tmp_path / "out")
    code, text = synnq(*check, at_node=True)
    assert code == 2
    assert "older than what was believed before" in text


def test_another_federation_s_root_does_not_open_an_export(home, node, synnq, tmp_path):
    other = Home.create(tmp_path / "other", resolve_settings("local", "smoke"))
    (tmp_path / "o.json").write_bytes(other.store.get_bytes("registry/metadata/1.root.json"))
    synnq("nodes", "export", tmp_path / "out")
    code, text = synnq(
        "nodes", "check", tmp_path / "out", "--root", tmp_path / "o.json", at_node=True
    )
    assert code == 2
    assert "cannot be believed" in text


# --- the root ceremony


def test_root_keys_are_kept_elsewhere_and_two_of_them_sign(home, synnq, tmp_path):
    stick = tmp_path / "stick"
    stick.mkdir()
    for name in ("root-1", "root-2", "root-3"):
        shutil.move(home.path / "keys" / f"{name}.pem", stick)
    assert "move it offline" not in synnq("keys", "list")[1]
    one, two = stick / "root-1.pem", stick / "root-2.pem"
    code, text = synnq("nodes", "root", "rotate", "--key", one)
    assert code == 2
    assert "root 2 is signed by 1 of its own keys; 2 have to sign" in text
    code, text = synnq("nodes", "root", "rotate", "--key", one, "--key", one)
    assert code == 2
    assert synnq("nodes", "root", "rotate", "--key", one, "--key", two)[0] == 0
    assert synnq("nodes", "root", "show")[1].startswith("version 2, counts until")


def test_a_coordinator_s_key_that_the_root_withdrew_publishes_nothing(home, node, synnq):
    keys = [home.path / "keys" / f"root-{k}.pem" for k in (1, 3)]
    other = SigningKey.generate().public_key
    rotated = synnq(
        *("nodes", "root", "rotate", "--key", keys[0], "--key", keys[1]),
        *("--coordinator-key", other),
    )
    assert rotated[0] == 0
    assert other in synnq("nodes", "root", "show")[1]
    code, text = synnq("nodes", "suspend", "site-a")
    assert code == 2
    assert "does not name this home's coordinator key" in text
