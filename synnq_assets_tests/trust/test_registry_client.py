"""Each attack on a registry that the TUF specification names, and what a root can and cannot do."""

import os
import shutil
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.signer import SSlibKey
from tuf.ngclient import Updater

from synnq_assets.errors import RegistryError, StaleRegistryError, TrustError
from synnq_assets.records.base import now_at
from synnq_assets.trust import SigningKey, sign_record
from synnq_assets.trust.registry.client import RegistryClient, _FolderFetcher
from synnq_assets.trust.registry.roles import build_root, open_root, read_keys, sign_metadata
from synnq_assets.trust.registry.targets import Target
from synnq_assets_tests.trust.registry_world import (
    DAY,
    RegistryWorld,
    build_node,
    edit_json,
    generate,
)


@pytest.fixture
def world(tmp_path):
    world = RegistryWorld(tmp_path)
    world.show()
    return world


def change(world, number):
    """Publish another state."""
    world.enrol(build_node(world.node, weight_cap=1 / (number + 1)))
    return world.show()


def test_what_was_published_is_believed(world):
    registry = world.refresh()
    assert registry.coordinator_keys == (world.coordinator.public_key,)
    assert registry.find_status("node-a") == ("active", (world.node.public_key,))
    assert registry.read_node("node-a") == build_node(world.node)
    assert world.client.recall().find_status("node-a")[0] == "active"
    with pytest.raises(RegistryError, match="does not know a node node-b"):
        registry.find_status("node-b")


def test_any_tuf_client_reads_it(world, tmp_path):
    updater = Updater(
        str(tmp_path / "plain"),
        "metadata",
        target_dir=str(tmp_path),
        target_base_url="targets",
        fetcher=_FolderFetcher(world.folder),
        bootstrap=world.repository.read("root", 1),
    )
    info = updater.get_targetinfo("nodes/node-a.json")
    assert info.custom["organisation"] == "A"
    with open(updater.download_target(info), "rb") as file:
        assert file.read() == world.wanted["nodes/node-a.json"].data


# --- rollback


def test_rollback_of_the_timestamp_is_refused(world):
    old = world.file("timestamp.json").read_bytes()
    change(world, 1)
    world.refresh()
    world.file("timestamp.json").write_bytes(old)
    with pytest.raises(StaleRegistryError, match="older than what was believed before"):
        world.refresh()
    assert world.client.recall().targets.version == 2


def test_rollback_of_the_whole_repository_is_refused(world, tmp_path):
    shutil.copytree(world.folder, tmp_path / "old")
    change(world, 1)
    world.refresh()
    with pytest.raises(StaleRegistryError, match="older than what was believed before"):
        world.client.refresh(tmp_path / "old")


def test_rollback_of_the_snapshot_under_a_new_timestamp_is_refused(world):
    old = world.signed("timestamp.json").snapshot_meta
    change(world, 1)
    world.refresh()
    world.forge_timestamp(9, snapshot=old)
    with pytest.raises(StaleRegistryError, match="snapshot version must be >= 2"):
        world.refresh()


def test_rollback_of_the_targets_under_new_snapshot_and_timestamp_is_refused(world):
    old = world.file("1.targets.json").read_bytes()
    change(world, 1)
    world.refresh()
    world.forge_timestamp(9, snapshot=world.forge_snapshot(9, 1, old))
    with pytest.raises(StaleRegistryError, match="older than what was believed"):
        world.refresh()


# --- freeze, mix-and-match, fast-forward, endless data


@pytest.mark.parametrize("hours", [25, 24 * 30])
def test_freeze_is_noticed_when_the_timestamp_expires(tmp_path, hours):
    world = RegistryWorld(tmp_path)
    world.show(now=now_at() - timedelta(hours=hours))
    with pytest.raises(StaleRegistryError, match="expired .*have the coordinator send a fresh one"):
        world.refresh()


def test_what_is_remembered_expires_too(world):
    world.refresh()
    world.forge_timestamp(2, expires=now_at().replace(microsecond=0) - DAY)
    shutil.copy(world.file("timestamp.json"), world.client.folder / "trusted/metadata")
    with pytest.raises(StaleRegistryError, match="expired"):
        world.client.recall()
    assert world.client.recall_coordinator() == (world.coordinator.public_key,)


def test_mix_and_match_of_targets_and_snapshot_is_refused(world, tmp_path):
    shutil.copytree(world.folder, tmp_path / "old")
    change(world, 1)
    shutil.copy(tmp_path / "old/metadata/1.targets.json", world.file("2.targets.json"))
    with pytest.raises(RegistryError, match="cannot be believed"):
        world.refresh()


def test_mix_and_match_of_snapshot_and_timestamp_is_refused(world):
    old = world.file("1.snapshot.json").read_bytes()
    change(world, 1)
    world.file("2.snapshot.json").write_bytes(old)
    with pytest.raises(RegistryError, match="cannot be believed"):
        world.refresh()


def test_after_a_fast_forward_a_new_root_with_a_new_online_key_recovers(world):
    world.forge_timestamp(2**31 - 1)
    world.refresh()
    change(world, 1)
    with pytest.raises(StaleRegistryError, match="must be >= 2147483647"):
        world.refresh()
    world.online = SigningKey.generate()
    world.repository.rotate_root(world.root_keys(), world.roots[:2], now_at())
    change(world, 2)
    assert world.refresh().targets.version == 3


@pytest.mark.parametrize("name", ["timestamp.json", "1.snapshot.json", "1.targets.json"])
def test_endless_data_is_cut_off_at_its_cap(world, name):
    path = world.file(name)
    os.truncate(path, 1 << 40)  # sparse: a terabyte to read, nothing to store
    with pytest.raises(RegistryError, match="cannot be believed"):
        world.refresh()


def test_an_endless_root_is_cut_off_at_its_cap(world):
    world.file("2.root.json").touch()
    os.truncate(world.file("2.root.json"), 1 << 40)
    with pytest.raises(RegistryError, match="cannot be believed"):
        world.refresh()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path), os.mkdir])
def test_what_is_no_regular_file_is_not_read(world, make):
    world.file("timestamp.json").unlink()
    make(world.file("timestamp.json"))
    with pytest.raises(RegistryError):
        world.refresh()


# --- who signs


def test_a_stranger_s_timestamp_is_refused(world):
    world.forge_timestamp(2, key=SigningKey.generate())
    with pytest.raises(RegistryError, match="signed by 0/1 keys"):
        world.refresh()


def test_the_coordinator_cannot_sign_a_timestamp_nor_the_online_key_targets(world):
    world.forge_timestamp(2, key=world.coordinator)
    with pytest.raises(RegistryError, match="timestamp was signed by 0/1 keys"):
        world.refresh()
    world.put("2.targets.json", world.signed("1.targets.json"), world.online)
    data = world.file("2.targets.json").read_bytes()
    world.forge_timestamp(3, snapshot=world.forge_snapshot(2, 2, data))
    with pytest.raises(RegistryError, match="targets was signed by 0/1 keys"):
        world.refresh()


def put_root(world, signers, version=2, **changes):
    root = build_root(world.root_keys(**changes), version=version, now=now_at())
    world.file(f"{version}.root.json").write_bytes(sign_metadata(root, signers))


def test_a_root_that_one_of_two_signed_is_refused(world):
    put_root(world, world.roots[:1])
    with pytest.raises(RegistryError, match="root was signed by 1/2 keys"):
        world.refresh()
    with pytest.raises(RegistryError, match="signed by 1 of its own keys; 2 have to sign"):
        world.repository.rotate_root(world.root_keys(), world.roots[:1], now_at())
    assert world.repository.list_versions("root") == [1]


def test_the_same_key_signing_twice_counts_once(world):
    put_root(world, world.roots[:1])
    path = world.file("2.root.json")
    edit_json(path, lambda root: root["signatures"].append(root["signatures"][0]))
    with pytest.raises(RegistryError, match="cannot be believed"):
        world.refresh()


def test_one_key_under_two_ids_does_not_make_two(world):
    root = build_root(world.root_keys(), version=2, now=now_at())
    first = root.keys[root.roles["root"].keyids[0]]
    twin = SSlibKey("f" * 64, first.keytype, first.scheme, dict(first.keyval))
    root.keys["f" * 64] = twin
    root.roles["root"].keyids.append("f" * 64)
    with pytest.raises(RegistryError, match="names one root key under two ids"):
        read_keys(root)
    world.file("2.root.json").write_bytes(sign_metadata(root, world.roots[:2]))
    with pytest.raises(RegistryError, match="under two ids"):
        world.refresh()


def test_a_root_of_one_key_cannot_be_made_nor_pinned(world, tmp_path):
    single = tuple(key.public_key for key in world.roots[:1])
    with pytest.raises(RegistryError, match="2 different root keys or more"):
        build_root(world.root_keys(root=single * 2), version=1, now=now_at())
    root = build_root(world.root_keys(), version=1, now=now_at())
    root.roles["root"].threshold = 1
    with pytest.raises(RegistryError, match="fewer than 2 signatures"):
        RegistryClient.pin(tmp_path / "new", sign_metadata(root, world.roots[:1]))
    with pytest.raises(RegistryError, match="not signed by enough of its own keys"):
        unsigned = build_root(world.root_keys(), version=1, now=now_at())
        RegistryClient.pin(tmp_path / "new", sign_metadata(unsigned, world.roots[:1]))


def test_a_root_with_a_small_order_key_is_refused(world):
    root = build_root(world.root_keys(), version=2, now=now_at())
    weak = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(b"\x01" + bytes(31)))
    root.add_key(weak, "targets")
    with pytest.raises(RegistryError, match="small order"):
        open_root(sign_metadata(root, world.roots[:2]))
    with pytest.raises(TrustError, match="small order"):
        from synnq_assets.trust.encoding import encode_base64

        key = f"ed25519:{encode_base64(bytes([1]) + bytes(31))}"
        build_root(world.root_keys(coordinator=(key,)), version=2, now=now_at())


def test_root_2_withdraws_a_coordinator_s_key(world):
    assert world.refresh().coordinator_keys == (world.coordinator.public_key,)
    stolen, world.coordinator = world.coordinator, SigningKey.generate()
    world.repository.rotate_root(world.root_keys(), world.roots[1:], now_at())
    world.enrol(build_node(world.node))
    world.show()
    assert world.refresh().coordinator_keys == (world.coordinator.public_key,)
    forged = world.signed("2.targets.json")
    forged.version = 3
    world.put("3.targets.json", forged, stolen)
    data = world.file("3.targets.json").read_bytes()
    world.forge_timestamp(3, snapshot=world.forge_snapshot(3, 3, data))
    with pytest.raises(RegistryError, match="targets was signed by 0/1 keys"):
        world.refresh()


def test_root_keys_are_exchanged_one_root_at_a_time(world):
    world.refresh()
    old, world.roots = world.roots, [world.roots[0], *generate(2)]
    with pytest.raises(RegistryError, match="1 of the old root's keys; 2 have to sign"):
        world.repository.rotate_root(world.root_keys(), world.roots, now_at())
    world.repository.rotate_root(world.root_keys(), [*old[:2], world.roots[1]], now_at())
    world.repository.rotate_root(world.root_keys(), world.roots[1:], now_at())
    change(world, 1)
    world.refresh()
    assert world.client.recall_coordinator() == (world.coordinator.public_key,)
    with pytest.raises(RegistryError, match="signed by 0 of its own keys"):
        world.repository.rotate_root(world.root_keys(), old[1:], now_at())


def test_an_expired_root_is_refused_and_a_new_one_helps(tmp_path):
    world = RegistryWorld(tmp_path)
    late = RegistryWorld(tmp_path / "late")
    late.repository.store.root.joinpath("registry/metadata/1.root.json").unlink()
    late.repository.create_root(late.root_keys(), late.roots, now_at() - timedelta(days=400))
    late.client = RegistryClient.pin(tmp_path / "c", late.repository.read("root", 1))
    late.show()
    with pytest.raises(StaleRegistryError, match=r"root\.json is expired"):
        late.refresh()
    late.repository.rotate_root(late.root_keys(), late.roots[:2], now_at())
    late.show()
    assert late.refresh().targets.version == 1
    assert world.repository.get_root().signed.version == 1


# --- records


def find_target(world, node_id="node-a"):
    (path,) = (world.folder / "targets/nodes").glob(f"*.{node_id}.json")
    return path


def test_a_tampered_record_is_refused(world):
    registry, path = world.refresh(), find_target(world)
    path.write_bytes(path.read_bytes().replace(b"payload", b"Payload"))
    with pytest.raises(RegistryError, match="not the record that the registry names"):
        registry.read_node("node-a")
    path.unlink()
    with pytest.raises(RegistryError, match="not the record that the registry names"):
        registry.read_node("node-a")


@pytest.mark.parametrize(
    ("record", "signer", "says"),
    [("node-b", "coordinator", "is the record of node-b"), ("node-a", "online", "unknown key")],
)
def test_metadata_cannot_vouch_for_another_s_record(world, record, signer, says):
    data = sign_record(build_node(world.node, record), getattr(world, signer))
    world.wanted["nodes/node-a.json"] = Target(data, {"status": "active", "keys": []})
    world.show()
    with pytest.raises(TrustError, match=says):
        world.refresh().read_node("node-a")


@pytest.mark.parametrize("custom", [None, [], {}, {"status": "active", "keys": [3]}])
def test_a_node_that_is_described_in_another_form_is_refused(world, custom):
    data = world.wanted["nodes/node-a.json"].data
    world.wanted["nodes/node-a.json"] = Target(data, custom)
    world.show()
    with pytest.raises(RegistryError):
        world.refresh().find_status("node-a")


def test_what_is_refused_leaves_what_was_believed_as_it_was(world):
    world.refresh()
    trusted = world.client.folder / "trusted"
    before = {p: p.read_bytes() for p in trusted.rglob("*.json")}
    change(world, 1)
    world.file("2.targets.json").unlink()
    with pytest.raises(RegistryError, match="cannot be believed"):
        world.refresh()
    assert {p: p.read_bytes() for p in trusted.rglob("*.json")} == before


def test_without_a_pinned_root_nothing_is_believed(world, tmp_path):
    with pytest.raises(RegistryError, match="no pinned root"):
        RegistryClient(tmp_path / "nobody").refresh(world.folder)
    for data in (b"", b"{}", world.file("timestamp.json").read_bytes()):
        with pytest.raises(RegistryError):
            RegistryClient.pin(tmp_path / "nobody", data)
