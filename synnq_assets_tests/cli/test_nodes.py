"""A node from its first profile to a newer one, through the commands of both sides."""

import pytest
import yaml
from typer.testing import CliRunner

from synnq_assets.cli.home import open_home
from synnq_assets.cli.nodes import app
from synnq_assets.federation import Registry, find_obstacle
from synnq_assets.modeling.architectures import count_weights
from synnq_assets.settings import resolve_settings
from synnq_assets.trust import Home
from synnq_assets_tests.builders import build_profile


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNNQ_HOME", "")
    return Home.create(tmp_path / "home", resolve_settings("local", "smoke"))


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_profile(path, **changes):
    values = build_profile(**changes).model_dump(mode="json")
    path.write_text(yaml.safe_dump({k: v for k, v in values.items() if k != "node_id"}))
    return path


def enrol(home, tmp_path, node_id, **changes):
    """Create a node in a folder of its own, and enrol it."""
    folder = tmp_path / node_id
    (tmp_path / "terms.txt").write_text("terms")
    (tmp_path / "root.json").write_bytes(home.store.get_bytes("registry/metadata/1.root.json"))
    arguments = {
        "--node-id": node_id,
        "--federation": "synnq-smoke",
        "--organisation": "A",
        "--coordinator-key": home.coordinator.public_key,
        "--root": tmp_path / "root.json",
        "--profile": write_profile(tmp_path / "profile.yaml", **changes),
        "--terms": tmp_path / "terms.txt",
    }
    created = run("create", folder, *[part for pair in arguments.items() for part in pair])
    assert created.exit_code == 0, created.output
    assert run("enrol", folder / "application.json", "--home", home.path).exit_code == 0
    return folder


def sign(folder, tmp_path, **changes):
    """Sign a newer profile, as the node does."""
    profile = write_profile(tmp_path / "newer.yaml", **changes)
    signed = run("profile", folder, "--profile", profile)
    assert signed.exit_code == 0, signed.output
    return folder / "profile.json"


def update(home, node_id, signed):
    return run("update", node_id, "--profile", signed, "--home", home.path)


def test_a_node_that_has_cooled_takes_part_again(home, tmp_path):
    folder = enrol(home, tmp_path, "site-a", temperature_celsius=95.0)
    recipe = home.settings.recipe
    before = Registry(open_home(home.path).ledger).get("site-a")
    assert "thermal limit" in find_obstacle(before.profile, recipe, count_weights(recipe))
    done = update(home, "site-a", sign(folder, tmp_path, temperature_celsius=40.0))
    assert done.output == "site-a has a new profile\n"
    after = Registry(open_home(home.path).ledger).get("site-a")
    assert find_obstacle(after.profile, recipe, count_weights(recipe)) is None
    changes = {"profile": after.profile, "audit_index": after.audit_index}
    assert after == before.model_copy(update=changes)
    assert after.audit_index > before.audit_index
    assert len(list(home.store.iter_keys("registry/nodes/site-a"))) == 2
    (received,) = home.store.iter_keys("registry/profiles/site-a")
    assert home.store.get_bytes(received) == (folder / "profile.json").read_bytes()
    acts = [(e.phase, e.action) for _, e in home.audit.iter_entries()][-2:]
    assert acts == [("intent", "update_node_profile"), ("result", "update_node_profile")]


def test_a_profile_that_another_node_signed_is_refused(home, tmp_path):
    enrol(home, tmp_path, "site-a")
    other = enrol(home, tmp_path, "site-b")
    done = update(home, "site-a", sign(other, tmp_path, memory_gib=64.0))
    assert str(done.exception) == (
        "profile of site-a refused: signed by 'site-b', but it claims to be 'site-a'"
    )


def test_a_profile_that_was_changed_on_its_way_is_refused(home, tmp_path):
    folder = enrol(home, tmp_path, "site-a")
    signed = sign(folder, tmp_path, memory_gib=64.0)
    signed.write_bytes(signed.read_bytes().replace(b'"sig":"', b'"sig":"AAAA'))
    done = update(home, "site-a", signed)
    assert "profile of site-a refused" in str(done.exception)
    assert Registry(open_home(home.path).ledger).get("site-a").profile.memory_gib == 4.0


@pytest.mark.parametrize("status", ["suspend", "revoke"])
def test_a_node_without_a_voice_cannot_change_its_profile(home, tmp_path, status):
    folder = enrol(home, tmp_path, "site-a")
    signed = sign(folder, tmp_path, memory_gib=64.0)
    assert run(status, "site-a", "--home", home.path).exit_code == 0
    assert "suspended or revoked" in str(update(home, "site-a", signed).exception)


def test_a_profile_of_nobody_says_where_to_look(home, tmp_path):
    folder = enrol(home, tmp_path, "site-a")
    signed = sign(folder, tmp_path)
    assert "not enrolled; see `synnq nodes list`" in str(update(home, "site-x", signed).exception)
    assert "cannot read" in str(update(home, "site-a", tmp_path / "nothing").exception)


def test_the_list_shows_a_damaged_record_and_the_others(home, tmp_path):
    for node_id in ("site-a", "site-b"):
        enrol(home, tmp_path, node_id)
    (home.store.root / "registry/nodes/site-a/0001.json").write_bytes(b"{}")
    listed = run("list", "--home", home.path).output
    assert "site-b" in listed
    assert "node site-a has a damaged record and takes no part" in " ".join(listed.split())
