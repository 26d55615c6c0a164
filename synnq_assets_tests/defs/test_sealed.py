"""What was sealed for an order lies in the store as long as the order is open, and no longer."""

import pytest

from synnq_assets.cli.demo.setup import NODES
from synnq_assets.defs.federation import ALLOCATION_LOCK, decide_allocation, issue_orders
from synnq_assets.defs.operations import reassign
from synnq_assets.defs.sensors.jobs import monitor_jobs
from synnq_assets.trust.campaign import sealed_folder
from synnq_assets_tests.defs.by_hand import accept, publish_shard, put_base, sensor_context, start

ROSTER = tuple(sorted(node.node_id for node in NODES))


@pytest.fixture
def home(home):
    start(home)
    for k in range(8):
        publish_shard(home, f"s{k}")
    base = put_base(home, nodes=ROSTER)
    with home.lock(ALLOCATION_LOCK):
        issue_orders(home, base, decide_allocation(home, base).assignments)
    return home


def list_sealed(home):
    return {
        order.assignment_id: len([*home.store.iter_keys(sealed_folder(order.assignment_id))])
        for order in home.campaign.list_orders("r0001")
    }


def acts(home):
    entries = (entry for _, entry in home.audit.iter_entries())
    return [
        (entry.phase, home.concealer.reveal(entry.subject), entry.details)
        for entry in entries
        if entry.action == "remove_sealed"
    ]


def test_an_order_s_files_stay_while_it_is_open_and_without_the_data_keys(home, instance):
    monitor_jobs(sensor_context(home, instance))
    assert list_sealed(home) == {
        order.assignment_id: len(order.shards) for order in home.campaign.list_orders("r0001")
    }
    assert not [key for key in home.store.iter_keys("rounds") if key.endswith(".key.txt")]
    assert acts(home) == []


@pytest.mark.parametrize("decision", ["accepted", "refused"])
def test_a_judged_order_s_files_are_removed_once_and_logged(home, instance, decision):
    accept(home, "r0001.node-east.1", decision=decision)
    for _ in range(2):
        monitor_jobs(sensor_context(home, instance))
    assert list_sealed(home)["r0001.node-east.1"] == 0
    assert list_sealed(home)["r0001.node-west.1"] == 2
    assert acts(home) == [
        ("intent", "r0001.node-east.1", {}),
        ("result", "r0001.node-east.1", {"shards": 2}),
    ]


def test_a_lost_order_s_files_are_removed_and_its_replacement_s_stay(home, instance):
    lost = home.campaign.get_order("r0001.node-south.1")
    loss = reassign(home, lost, "gone")
    monitor_jobs(sensor_context(home, instance))
    left = list_sealed(home)
    assert left[lost.assignment_id] == 0
    assert all(left[assignment_id] for assignment_id in loss.replacements)


def test_a_data_key_that_a_crash_left_beside_its_order_is_removed(home, instance):
    kept = f"{sealed_folder('r0001.node-east.1')}/{'0' * 64}.key.txt"
    home.store.put_bytes(kept, b"wrapped to the steward")
    monitor_jobs(sensor_context(home, instance))
    assert not home.store.has(kept)
    assert list_sealed(home)["r0001.node-east.1"] == 2
