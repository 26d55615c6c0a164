"""Lost orders in a real home: who gets their shards, what a race and a crash leave behind."""

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import dagster as dg
import pytest

from synnq_assets.cli.demo.setup import NODES
from synnq_assets.defs.federation import (
    ALLOCATION_LOCK,
    decide_allocation,
    issue_orders,
    list_unissued,
    shard_allocation,
)
from synnq_assets.defs.operations import reassign, shard_reassignment
from synnq_assets.defs.sensors.jobs import monitor_jobs
from synnq_assets.defs.sensors.rounds import aggregate_round, open_round
from synnq_assets.defs.sensors.steps import STEP_TAG
from synnq_assets.errors import OrderError
from synnq_assets.federation import Registry
from synnq_assets.records.base import now_at
from synnq_assets.storage.files import hash_file
from synnq_assets.trust import SealingKey
from synnq_assets.trust.campaign import sealed_key
from synnq_assets.trust.sealing import build_shard_context, open_sealed, unwrap_data_key
from synnq_assets_tests.defs.by_hand import (
    DATA_KEY,
    accept,
    build_allocation,
    publish_shard,
    put_base,
    reopen,
    resources,
    sensor_context,
    start,
)

ROSTER = tuple(sorted(node.node_id for node in NODES))


@pytest.fixture
def home(home):
    """Eight shards, two for each of four nodes, and a first round that may open."""
    start(home)
    for k in range(8):
        publish_shard(home, f"s{k}")
    return home


def open_round_one(home, **changes):
    base = put_base(home, nodes=ROSTER, **changes)
    with home.lock(ALLOCATION_LOCK):
        issue_orders(home, base, decide_allocation(home, base).assignments)
    return {order.node_id: order for order in home.campaign.list_orders("r0001")}


def list_holders(home, round_key="r0001"):
    """Return shard -> nodes that hold an order for it that may still be answered."""
    holders = {}
    for order in home.campaign.iter_open_orders(round_key):
        for shard in order.shards:
            holders.setdefault(shard.shard_id, []).append(order.node_id)
    return holders


def steps(sensor, home, instance):
    result = sensor(sensor_context(home, instance))
    return [request.tags[STEP_TAG] for request in getattr(result, "run_requests", [])]


def test_lost_shards_go_to_nodes_that_never_had_them(home):
    orders = open_round_one(home)
    had = home.campaign.list_exposure()
    lost = orders["node-south"]
    loss = reassign(home, lost, "by hand")
    given = {}
    for assignment_id, shard_ids in loss.replacements.items():
        order = home.campaign.get_order(assignment_id)
        assert {shard.shard_id for shard in order.shards} == set(shard_ids)
        assert order.node_id != lost.node_id
        assert not had[order.node_id] & set(shard_ids)
        given.update(dict.fromkeys(shard_ids, order))
    assert set(given) == {shard.shard_id for shard in lost.shards}
    assert all(len(nodes) == 1 for nodes in list_holders(home).values())


def test_a_replacement_opens_with_the_receiving_node_s_key_alone(home):
    lost = open_round_one(home)["node-south"]
    loss = reassign(home, lost, "by hand")
    order = home.campaign.get_order(next(iter(loss.replacements)))
    key = SealingKey.read(home.path / "nodes" / order.node_id / "keys" / "sealing.pem")
    for shard in order.shards:
        context = build_shard_context(
            order.federation, shard.shard_id, order.assignment_id, order.node_id
        )
        path = home.store.local_path(sealed_key(order.assignment_id, shard.shard_id))
        data_key = unwrap_data_key(shard.wrapped_key, key, context)
        assert data_key != DATA_KEY
        assert open_sealed(path, data_key, context).startswith(b"the tokens of ")
        assert hash_file(path) == (shard.ciphertext_sha256, shard.ciphertext_bytes)


def test_without_a_candidate_the_record_says_so(home):
    every = [manifest.shard_id for manifest in home.campaign.list_manifests()]
    base = put_base(home, nodes=ROSTER)
    allocation = build_allocation("r0001", dict.fromkeys(ROSTER, every[:2]))
    home.campaign.put_allocation(allocation, home.coordinator)
    issue_orders(home, base, allocation.assignments)
    loss = reassign(home, home.campaign.get_order("r0001.node-east.1"), "gone")
    assert loss.replacements == {}
    assert loss.reason == (
        "gone; not reassigned: none of the 2 shards has a node that never had it"
    )
    assert len(home.campaign.list_orders("r0001")) == 4
    assert reassign(home, home.campaign.get_order("r0001.node-east.1"), "again") == loss


def test_suspended_nodes_get_nothing(home):
    lost = open_round_one(home)["node-east"]
    for node in ("node-north", "node-south"):
        Registry(home.ledger).set_status(node, "suspended", home.coordinator, at=home.audit.size())
    loss = reassign(home, lost, "gone")
    assert {name.split(".")[1] for name in loss.replacements} == {"node-west"}


def test_after_the_deadline_no_more_nodes_see_the_shards(home):
    lost = open_round_one(home, deadline_at=now_at() - timedelta(seconds=1))["node-east"]
    exposure = home.campaign.list_exposure()
    loss = reassign(home, lost, "gone")
    assert loss.replacements == {}
    assert loss.reason == "gone; not reassigned: the round's deadline has passed"
    assert home.campaign.list_exposure() == exposure


def test_three_losses_at_once_decide_one_after_the_other(home):
    orders = open_round_one(home)
    together = threading.Barrier(3)

    def lose(node):
        own = reopen(home.path)
        together.wait()
        reassign(own, orders[node], "gone")

    threads = [threading.Thread(target=lose, args=(node,)) for node in ROSTER[:3]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    losses = sorted(home.campaign.list_losses("r0001"), key=lambda loss: loss.decided_at)
    gone = set()
    for loss in losses:
        gone.add(loss.lost.split(".")[1])
        assert not gone & {name.split(".")[1] for name in loss.replacements}
    names = [name for loss in losses for name in loss.replacements]
    assert len(names) == len(set(names))
    assert all(len(nodes) == 1 for nodes in list_holders(home).values())
    assert list_unissued(home, home.campaign.list_promises("r0001")) == []


def test_an_answered_order_is_not_reassigned(home):
    lost = open_round_one(home)["node-east"]
    accept(home, lost.assignment_id)
    with pytest.raises(OrderError, match=r"r0001.node-east.1 was answered"):
        reassign(home, lost, "late")
    assert home.campaign.find_loss(lost.assignment_id) is None


def lose_a_data_key(home, shard_id):
    """Let the orders of one shard fail, as a disk does that loses a file for a while."""
    path = home.store.root / f"shards/{shard_id}/data_key.txt"
    data = path.read_bytes()
    path.unlink()
    return lambda: path.write_bytes(data)


def test_orders_that_failed_after_the_record_are_issued_later_and_as_recorded(home, instance):
    lost = open_round_one(home)["node-south"]
    restore = lose_a_data_key(home, lost.shards[0].shard_id)
    with pytest.raises(OrderError, match="orders not issued: .*data_key"):
        reassign(home, lost, "gone")
    loss = home.campaign.find_loss(lost.assignment_id)
    missing = list_unissued(home, loss.replacements)
    assert missing
    assert steps(monitor_jobs, home, instance) == [f"reassign:{lost.assignment_id}"]
    # Another loss in between must not count the promised shards as free, nor reuse a number.
    other = reassign(home, home.campaign.get_order("r0001.node-east.1"), "gone too")
    assert not set(other.replacements) & set(loss.replacements)
    restore()
    instance.add_dynamic_partitions("round", ["r0001"])
    instance.add_dynamic_partitions("site", list(ROSTER))
    assert dg.materialize(
        [shard_reassignment],
        partition_key=dg.MultiPartitionKey({"round": "r0001", "site": "node-south"}),
        instance=instance,
        resources=resources(home),
        tags={"synnq/assignment": lost.assignment_id},
    ).success
    assert home.campaign.find_loss(lost.assignment_id) == loss
    for assignment_id, shard_ids in loss.replacements.items():
        order = home.campaign.get_order(assignment_id)
        assert {shard.shard_id for shard in order.shards} == set(shard_ids)
    assert all(len(nodes) == 1 for nodes in list_holders(home).values())
    assert steps(monitor_jobs, home, instance) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from synnq_assets.defs.federation import ALLOCATION_LOCK, decide_allocation
from synnq_assets.federation import Registry
from synnq_assets.trust import Home
home = Home.open(Path(sys.argv[1]))
Registry(home.ledger).load()
with home.lock(ALLOCATION_LOCK):
    decide_allocation(home, home.campaign.find_base("r0001"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_between_allocation_and_orders_is_completed_as_allocated(home, instance):
    put_base(home, nodes=ROSTER)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(home.path)], env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    allocation = home.campaign.find_allocation("r0001")
    assert allocation is not None
    assert home.campaign.list_orders("r0001") == []
    assert steps(open_round, home, instance) == ["open:r0001"]
    reason = aggregate_round(sensor_context(home, instance)).skip_message
    assert "0 accepted of quorum 2, 4 still open" in reason
    instance.add_dynamic_partitions("round", ["r0001"])
    assert dg.materialize(
        [shard_allocation],
        partition_key="r0001",
        instance=instance,
        resources=resources(home),
    ).success  # the dead process holds no lock
    assert home.campaign.find_allocation("r0001") == allocation
    given = {
        order.assignment_id: {shard.shard_id for shard in order.shards}
        for order in home.campaign.list_orders("r0001")
    }
    assert given == {name: set(shards) for name, shards in allocation.assignments.items()}
    assert all(len(nodes) == 1 for nodes in list_holders(home).values())
    assert "r0001 is not judged yet" in open_round(sensor_context(home, instance)).skip_message


def test_an_order_that_a_crash_held_back_does_not_let_a_round_close_early(home, instance):
    lost = open_round_one(home)["node-south"]
    restore = lose_a_data_key(home, lost.shards[0].shard_id)
    with pytest.raises(OrderError):
        reassign(home, lost, "gone")
    for node in ("node-east", "node-north", "node-west"):
        accept(home, f"r0001.{node}.1", decision="refused" if node != "node-east" else "accepted")
    missing = list_unissued(home, home.campaign.list_promises("r0001"))
    waiting = aggregate_round(sensor_context(home, instance)).skip_message
    open_orders = len(list(home.campaign.iter_open_orders("r0001")))
    assert f"1 accepted of quorum 2, {len(missing) + open_orders} still open" in waiting
    restore()
    reassign(home, lost, "gone")
    assert steps(aggregate_round, home, instance) == []
