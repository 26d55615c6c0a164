"""The published registry in a running campaign: renewed in time, and brought to waiting jobs."""

from datetime import timedelta

import dagster as dg

from synnq_assets.defs.compute import build_job
from synnq_assets.defs.operations import refresh_registry as refresh_job
from synnq_assets.defs.release import read_joules
from synnq_assets.defs.sensors.registry import refresh_registry
from synnq_assets.federation import Registry
from synnq_assets.records.base import now_at
from synnq_assets.records.jobs import JobHandle
from synnq_assets.settings import load_node_settings
from synnq_assets.trust.campaign import sealed_key
from synnq_assets.trust.registry.client import RegistryClient
from synnq_assets.trust.registry.publishing import find_due_version, publish_registry
from synnq_assets.trust.registry.repository import MetadataRepository
from synnq_assets_tests.defs.by_hand import (
    accept,
    open_round_by_hand,
    resources,
    sensor_context,
    start,
)
from synnq_assets_tests.defs.test_release import store


def age(home):
    """Replace what is published by what was published yesterday."""
    folder = home.store.root / "registry/metadata"
    for path in folder.glob("*.json"):
        if "root" not in path.name:
            path.unlink()
    publish_registry(home, now=now_at() - timedelta(hours=13))


def ask(home, instance):
    return refresh_registry(sensor_context(home, instance)).run_requests


def test_a_registry_is_renewed_when_half_a_day_is_left(home, instance):
    assert ask(home, instance) == []
    age(home)
    (request,) = ask(home, instance)
    assert (request.job_name, ask(home, instance)[0].run_key) == (refresh_job.name, request.run_key)
    assert refresh_job.execute_in_process(instance=instance, resources=resources(home)).success
    assert ask(home, instance) == []
    acts = [(e.phase, e.action) for _, e in home.audit.iter_entries()][-2:]
    assert acts == [("intent", "publish_registry"), ("result", "publish_registry")]


def test_a_record_that_was_written_and_not_published_is_asked_for(home, instance):
    at = home.audit.size()
    Registry(home.ledger).set_status("node-east", "suspended", home.coordinator, at=at)
    assert len(ask(home, instance)) == 1
    refresh_job.execute_in_process(instance=instance, resources=resources(home))
    custom = MetadataRepository(home.store).find_published().targets.targets
    assert custom["nodes/node-east.json"].custom["status"] == "suspended"


def test_a_job_that_waits_gets_the_renewed_registry(home, instance):
    start(home)
    open_round_by_hand(home)
    order = home.campaign.list_orders("r0001")[0]
    keys = [f"checkpoints/{order.base.checkpoint_sha256}/{f.name}" for f in order.base.files]
    keys += [sealed_key(order.assignment_id, shard.shard_id) for shard in order.shards]
    for key in keys:
        home.store.put_bytes(key, b"bytes")
    spec = build_job(home, order)
    handle = JobHandle(
        assignment_id=order.assignment_id,
        node_id=order.node_id,
        backend="local",
        job_id="local-1",
        job_dir=spec.job_dir,
        submitted_at=now_at(),
    )
    home.campaign.put_handle(handle, home.coordinator)
    node = load_node_settings(home.path / "nodes" / order.node_id / "node.yaml")
    client = RegistryClient(node.registry)
    folder = home.path / "jobs" / order.assignment_id / "registry"
    first = client.refresh(folder)
    assert first.find_status(order.node_id)[0] == "active"
    at = home.audit.size()
    Registry(home.ledger).set_status(order.node_id, "suspended", home.coordinator, at=at)
    assert find_due_version(home) is not None
    assert refresh_job.execute_in_process(instance=instance, resources=resources(home)).success
    assert client.refresh(folder).find_status(order.node_id)[0] == "suspended"


def test_what_was_accepted_counts_after_its_node_was_revoked(home):
    store(home, "node-east", 100.0)
    start(home)
    open_round_by_hand(home)
    accept(home, "r0001.node-east.1", audit_index=home.audit.size() - 1)
    assert read_joules(home, "r0001.node-east.1") == 100.0
    at = home.audit.size()
    Registry(home.ledger).set_status("node-east", "revoked", home.coordinator, at=at)
    assert read_joules(home, "r0001.node-east.1") == 100.0
    store(home, "node-north", 50.0)
    accept(home, "r0001.node-north.1", audit_index=0)  # before it was enrolled
    assert read_joules(home, "r0001.node-north.1") is None


def test_definitions_know_the_refresh():
    from synnq_assets.definitions import defs

    repository = defs.get_repository_def()
    assert repository.has_job("refresh_registry")
    assert isinstance(repository.get_sensor_def("refresh_registry"), dg.SensorDefinition)
