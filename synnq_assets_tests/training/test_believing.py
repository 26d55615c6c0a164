"""Whose orders a node believes, from the registry in the job folder and what it believed before."""

import shutil
from datetime import timedelta

import pytest
import yaml

from synnq_assets.errors import OrderError
from synnq_assets.records.base import now_at
from synnq_assets.training.believing import believe_order
from synnq_assets.training.folder import JobFolder
from synnq_assets.training.opening import open_shards
from synnq_assets.trust import SealingKey, SigningKey
from synnq_assets.trust.registry.client import RegistryClient
from synnq_assets_tests.training.order_folder import NODE_ID, write_order_folder
from synnq_assets_tests.trust.registry_world import RegistryWorld, build_node


@pytest.fixture
def job(tmp_path):
    return write_order_folder(tmp_path, num_tokens=(50,))


@pytest.fixture
def world(job, tmp_path):
    """A registry of the job's coordinator and node; the job folder holds it, the node its root."""
    world = RegistryWorld(tmp_path / "w", coordinator=job.coordinator, node=job.signing_key)
    world.wanted.clear()
    world.enrol(build_node(job.signing_key, NODE_ID))
    RegistryClient.pin(job.node_path.parent / "registry", world.repository.read("root", 1))
    settings = yaml.safe_load(job.node_path.read_text())
    job.node_path.write_text(yaml.safe_dump({**settings, "registry": "registry"}))
    stage(world, job)
    return world


def stage(world, job, **publish):
    """Lay what is published now into the job folder."""
    shutil.rmtree(job.root / "registry", ignore_errors=True)
    shutil.copytree(world.show(**publish), job.root / "registry")


def believe(job, *, key=None, remember=True):
    folder = JobFolder(job.order_path)
    public = (key or job.signing_key).public_key
    return believe_order(folder.read_order(), folder, job.node, public, remember=remember)


def refuses(job, says, **options):
    with pytest.raises(OrderError, match=says):
        believe(job, **options)


def change(world, number=2, **changes):
    """Publish another version of the node's record."""
    first = build_node(world.node, NODE_ID)
    world.enrol(first, build_node(world.node, NODE_ID, audit_index=number, **changes))
    return world.publish()


def test_an_order_is_believed_from_the_pinned_root(job, world):
    assert believe(job) == job.order
    assert believe(job) == job.order


def test_an_order_without_a_registry_beside_it_is_not_believed(job, world):
    shutil.rmtree(job.root / "registry")
    refuses(job, "cannot be believed: metadata/timestamp.json is missing; nothing was opened")


def test_an_order_by_a_coordinator_s_key_that_the_root_withdrew_is_refused(job, world):
    assert believe(job) == job.order
    world.coordinator = SigningKey.generate()
    world.repository.rotate_root(world.root_keys(), world.roots[:2], now_at())
    change(world)
    stage(world, job)
    refuses(job, "not signed by the coordinator that this node trusts")
    job.sign_order(world.coordinator)
    assert believe(job) == job.order


def test_the_key_in_node_yaml_alone_does_not_count_beside_a_registry(job, world):
    settings = yaml.safe_load(job.node_path.read_text())
    stranger = SigningKey.generate()
    settings["coordinator_public_key"] = stranger.public_key
    job.node_path.write_text(yaml.safe_dump(settings))
    assert believe(job) == job.order
    job.sign_order(stranger)
    refuses(job, "not signed by the coordinator that this node trusts")


def test_an_expired_registry_is_refused_with_a_sentence(job, world):
    world = RegistryWorld(job.root / "late", coordinator=job.coordinator, node=job.signing_key)
    world.wanted.clear()
    world.enrol(build_node(job.signing_key, NODE_ID))
    RegistryClient.pin(job.node_path.parent / "registry", world.repository.read("root", 1))
    stage(world, job, now=now_at() - timedelta(hours=25))
    refuses(job, "expired .*have the coordinator send a fresh one; nothing was opened")


def expire(job, world):
    """Lay metadata that has expired into the job folder and into the node's memory."""
    past = now_at().replace(microsecond=0) - timedelta(hours=1)
    world.forge_timestamp(world.signed("timestamp.json").version + 1, expires=past)
    for place in (job.root / "registry", job.node_path.parent / "registry/trusted"):
        shutil.copy(world.file("timestamp.json"), place / "metadata")


def test_an_order_that_was_believed_goes_on_after_its_registry_expired(job, world):
    believe(job)
    expire(job, world)
    assert believe(job) == job.order
    job.sign_order(nonce="6" * 64)
    refuses(job, "expired")


def test_but_not_after_its_signer_s_key_was_withdrawn(job, world):
    believe(job)
    old = job.order_path.read_bytes()
    world.coordinator = SigningKey.generate()
    world.repository.rotate_root(world.root_keys(), world.roots[:2], now_at())
    change(world)
    stage(world, job)
    job.sign_order(world.coordinator, nonce="6" * 64)
    believe(job)
    expire(job, world)
    job.order_path.write_bytes(old)
    refuses(job, "not signed by the coordinator that this node trusts")


def test_an_older_job_folder_is_judged_by_what_the_node_knows_since(job, world):
    shutil.copytree(job.root / "registry", job.root / "old")
    change(world)
    stage(world, job)
    believe(job)
    shutil.rmtree(job.root / "registry")
    (job.root / "old").rename(job.root / "registry")
    assert believe(job) == job.order
    world.coordinator = SigningKey.generate()  # an old registry does not bring a withdrawn key back
    world.repository.rotate_root(world.root_keys(), world.roots[:2], now_at())
    change(world, 3)
    shutil.copytree(job.root / "registry", job.root / "old")
    stage(world, job)
    refuses(job, "not signed by the coordinator")
    shutil.rmtree(job.root / "registry")
    (job.root / "old").rename(job.root / "registry")
    refuses(job, "not signed by the coordinator")


@pytest.mark.parametrize("status", ["suspended", "revoked"])
def test_a_node_that_is_not_active_takes_no_order(job, world, status):
    change(world, status=status)
    stage(world, job)
    refuses(job, f"the registry lists node {NODE_ID} as {status}; nothing was opened")


def test_a_node_that_the_registry_does_not_know_takes_no_order(job, world):
    world.wanted.clear()
    stage(world, job)
    refuses(job, f"does not know a node {NODE_ID}")


def test_a_key_that_the_registry_does_not_name_is_noticed_before_training(job, world):
    refuses(job, "run `synnq nodes rotate-key --activate`", key=SigningKey.generate())


def test_other_processes_of_a_job_remember_nothing(job, world):
    believe(job, remember=False)
    assert sorted(p.name for p in (job.node_path.parent / "registry").iterdir()) == ["root.json"]


def test_shards_from_before_a_rotation_open_with_the_key_before(job):
    (job.node_path.parent / "keys").mkdir()
    SealingKey.generate().write(job.node_path.parent / "keys" / "new.pem")
    settings = yaml.safe_load(job.node_path.read_text())
    settings |= {"sealing_key": "keys/new.pem", "previous_sealing_key": settings["sealing_key"]}
    job.node_path.write_text(yaml.safe_dump(settings))
    vocab_size = job.recipe.tokenizer.vocab_size
    folder = JobFolder(job.order_path)
    (shard,) = open_shards(job.order, folder, job.node, vocab_size=vocab_size)
    assert shard.num_tokens == 50
