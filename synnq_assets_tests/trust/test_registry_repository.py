"""Publishing: when it is due, what a killed writer leaves, and with whose keys."""

from datetime import timedelta

import pytest

from synnq_assets.errors import RegistryError
from synnq_assets.records.base import now_at
from synnq_assets.settings import resolve_settings
from synnq_assets.trust import Home, SigningKey
from synnq_assets.trust.registry.publishing import (
    find_due_version,
    publish_registry,
    render_registry,
)
from synnq_assets.trust.registry.repository import MetadataRepository, OnlineKeys
from synnq_assets.trust.registry.roles import decode_key, encode_key
from synnq_assets_tests.trust.registry_world import RegistryWorld, build_node


@pytest.fixture
def world(tmp_path):
    return RegistryWorld(tmp_path)


def versions(world):
    roles = ("targets", "snapshot", "timestamp")
    return tuple(world.repository.list_versions(role)[-1] for role in roles)


def test_publishing_again_is_no_work_until_half_a_day_is_left(world):
    now = now_at()
    assert world.repository.is_due(world.wanted, now)
    world.publish(now=now)
    world.publish(now=now + timedelta(hours=11))
    assert versions(world) == (1, 1, 1)
    world.publish(now=now + timedelta(hours=13))
    assert versions(world) == (1, 2, 2)
    world.publish(now=now + timedelta(days=61))
    assert versions(world) == (2, 3, 3)


def test_a_change_is_published_at_once(world):
    now = now_at()
    world.publish(now=now)
    world.enrol(build_node(world.node), build_node(world.node, audit_index=4, status="suspended"))
    assert world.publish(now=now).targets.version == 2
    custom = world.repository.find_published().targets.targets["nodes/node-a.json"].custom
    assert custom == {
        "status": "suspended",
        "organisation": "A",
        "weight_cap": "1.0",
        "keys": [{"public_key": world.node.public_key, "windows": [[1, 4]]}],
    }


@pytest.mark.parametrize("role", ["snapshot", "timestamp"])
def test_what_a_killed_writer_left_only_costs_a_number(world, role):
    world.publish()
    world.repository.store.put_bytes("registry/metadata/2.targets.json", b"half a thought")
    if role == "timestamp":
        world.repository.store.put_bytes("registry/metadata/2.snapshot.json", b"another")
    world.enrol(build_node(world.node, weight_cap=0.5))
    assert world.show()
    assert world.refresh().targets.version == 3


def test_metadata_is_published_with_the_keys_of_the_root_alone(world):
    stranger = SigningKey.generate()
    for keys in (OnlineKeys(stranger, world.online), OnlineKeys(world.coordinator, stranger)):
        with pytest.raises(RegistryError, match="does not name this home's"):
            world.repository.publish(world.wanted, keys, now_at())
    assert world.repository.find_published() is None
    with pytest.raises(RegistryError, match="nothing was published yet"):
        world.repository.list_files({})


def test_a_store_without_root_or_with_damaged_metadata_says_so(world, tmp_path):
    from synnq_assets.storage import FolderStore

    with pytest.raises(RegistryError, match="has no root"):
        MetadataRepository(FolderStore(tmp_path / "empty")).get_root()
    world.publish()
    path = world.repository.store.root / "registry/metadata/1.snapshot.json"
    path.chmod(0o644)
    for data in (b"{}", world.repository.read("root", 1)):
        path.write_bytes(data)
        with pytest.raises(RegistryError, match=r"1\.snapshot\.json is"):
            world.repository.find_published()


@pytest.mark.parametrize("algorithm", ["ed25519", "ecdsa-p256"])
def test_keys_are_the_same_in_both_spellings(algorithm):
    key = SigningKey.generate(algorithm).public_key
    assert decode_key(encode_key(key)) == key


def test_a_registry_may_be_signed_with_hardware_kind_keys(tmp_path):
    def make():
        return SigningKey.generate("ecdsa-p256")

    world = RegistryWorld(tmp_path, [make(), make(), make()], make(), make())
    world.show()
    assert world.refresh().coordinator_keys == (world.coordinator.public_key,)


def test_registries_are_not_signed_with_the_log_s_kind_of_key():
    with pytest.raises(RegistryError, match="not signed with ml-dsa-44"):
        encode_key(SigningKey.generate("ml-dsa-44").public_key)


def test_the_coordinator_reads_its_own_store_after_everything_expired(tmp_path):
    home = Home.create(tmp_path / "home", resolve_settings("local", "smoke"))
    assert find_due_version(home) == 0
    publish_registry(home, now=now_at() - timedelta(days=3))
    assert find_due_version(home) == 1
    assert "metadata/2.snapshot.json" in render_registry(home)
    assert find_due_version(home) is None
