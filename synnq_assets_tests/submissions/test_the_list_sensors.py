"""Items 74 to 78 of the list of bad inputs: what sensors do with what they cannot trust."""

import json
import os
import time
import tracemalloc
from datetime import timedelta

import dagster as dg
import pytest

from synnq_assets.defs.sensors.jobs import dispatch_orders, monitor_jobs, read_cursor
from synnq_assets.defs.sensors.preparation import prepare_campaign
from synnq_assets.defs.sensors.rounds import aggregate_round, open_round
from synnq_assets.defs.sensors.steps import STEP_TAG
from synnq_assets.records.base import now_at
from synnq_assets.records.jobs import JobHandle
from synnq_assets_tests.defs.by_hand import (
    accept,
    damage,
    open_round_by_hand,
    plan,
    sensor_context,
    start,
)

from .the_list import HONEST, POISON, ROUND

CURSORS = {
    "wiped": None,
    "empty": "",
    "cut": '{"r0001.node-east.1": "run',
    "newer": '{"version": 2, "jobs": [{"id": "r0001.node-east.1"}]}',
    "list": "[1, 2]",
    "number": "7",
    "null": "null",
    "repeated": '{"a":"running","a":"lost"}',
    "deep": "[" * 200_000,
    "surrogate": '{"\ud800":"running"}',
    "text": "not json at all",
}


def put_handle(home, assignment_id, *, submitted_at):
    handle = JobHandle(
        assignment_id=assignment_id,
        node_id=assignment_id.split(".")[1],
        backend="local",
        job_id="x",
        job_dir=str(home.path / "jobs" / "nothing"),
        submitted_at=submitted_at,
    )
    home.campaign.put_handle(handle, home.coordinator)


def steps(result):
    return [request.tags[STEP_TAG] for request in result.run_requests]


def tick(sensor, home, instance, cursor=None):
    return sensor.evaluate_tick(sensor_context(home, instance, cursor))


@pytest.fixture
def home(enrolled, tmp_path):
    """A home with an open round of two orders."""
    import shutil

    from synnq_assets_tests.defs.by_hand import reopen

    opened = reopen(shutil.copytree(enrolled, tmp_path / "home"))
    start(opened)
    open_round_by_hand(opened, nodes=(POISON, HONEST))
    return opened


@pytest.fixture
def instance():
    with dg.instance_for_test() as held:
        yield held


@pytest.mark.parametrize("cursor", CURSORS.values(), ids=CURSORS)
def test_item_74_a_cursor_that_is_not_ours_is_begun_anew(cursor):
    found = read_cursor(cursor)
    assert all(isinstance(state, str) for state in found.values())
    assert "r0001.node-east.1" not in found


@pytest.mark.parametrize("name", ["wiped", "cut", "newer", "list"])
def test_item_74_the_decision_does_not_hang_on_the_cursor(home, instance, name):
    put_handle(home, f"{ROUND}.{POISON}.1", submitted_at=now_at() - timedelta(minutes=5))
    result = tick(monitor_jobs, home, instance, CURSORS[name])
    assert steps(result) == [f"reassign:{ROUND}.{POISON}.1"]
    assert json.loads(result.cursor) == {f"{ROUND}.{POISON}.1": "lost"}


@pytest.mark.slow
def test_item_75_ten_thousand_files_in_one_tick(home, instance):
    """Files that are no orders lie where orders lie: each is left out, and the orders go on."""
    folder = home.store.root / f"rounds/{ROUND}/orders"
    for number in range(10_000):
        (folder / f"stray-{number:05}.json").write_bytes(b"{}")
    tracemalloc.start()
    began = time.process_time()
    result = tick(dispatch_orders, home, instance)
    seconds, (_, peak_bytes) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert steps(result) == [f"submit:{ROUND}.{POISON}.1", f"submit:{ROUND}.{HONEST}.1"]
    assert seconds < 30
    assert peak_bytes < 128 << 20


def test_item_76_a_job_from_the_future_is_not_lost(home, instance):
    """The clock jumped back after the job was submitted."""
    put_handle(home, f"{ROUND}.{POISON}.1", submitted_at=now_at() + timedelta(hours=1))
    assert steps(tick(monitor_jobs, home, instance)) == []
    assert steps(tick(dispatch_orders, home, instance)) == [f"submit:{ROUND}.{HONEST}.1"]


def test_item_76_verdicts_from_the_future_still_make_a_quorum(home, instance, monkeypatch):
    for node in (POISON, HONEST):
        accept(home, f"{ROUND}.{node}.1")
    before = now_at() - timedelta(hours=1)
    monkeypatch.setattr("synnq_assets.defs.sensors.rounds.now_at", lambda: before)
    (request,) = tick(aggregate_round, home, instance).run_requests
    assert request.tags[STEP_TAG] == f"aggregate:{ROUND}"


def test_item_77_the_same_event_after_a_crash_gives_one_run(home, instance):
    """The daemon died between its tick and its cursor; the run key is what makes a run one."""
    put_handle(home, f"{ROUND}.{POISON}.1", submitted_at=now_at() - timedelta(minutes=5))
    for sensor in (dispatch_orders, monitor_jobs):
        keys = [
            {request.run_key for request in tick(sensor, home, instance).run_requests}
            for _ in range(3)
        ]
        assert keys[0]
        assert keys[0] == keys[1] == keys[2]
        assert all(key.endswith(":0") for key in keys[0])


def test_item_78_poison_among_the_orders_does_not_block_the_rest(home, instance):
    folder = home.store.root / f"rounds/{ROUND}/orders"
    damage(home, f"rounds/{ROUND}/orders/{ROUND}.{POISON}.1.json")
    os.symlink("/nowhere", folder / "r0001.node-link.1.json")
    (folder / "r0001.node-deep.1.json").write_bytes(b"[" * 200_000)
    (folder / "r0001.node-text.1.json").write_bytes(b"\xff\xfe")
    (folder / "r0001.node-big.1.json").write_bytes(b" " * (17 << 20))
    assert steps(tick(dispatch_orders, home, instance)) == [f"submit:{ROUND}.{HONEST}.1"]


def test_item_78_a_poisonous_cell_of_the_plan_becomes_no_partition_and_blocks_no_other(
    enrolled, tmp_path, instance
):
    import shutil

    from synnq_assets_tests.defs.by_hand import reopen

    home = reopen(shutil.copytree(enrolled, tmp_path / "home"))
    plan(home, "de.health", "../../etc", "fi.law|fr.law", "")
    result = tick(dispatch_orders, home, instance)
    added = {r.partitions_def_name: r.partition_keys for r in result.dynamic_partitions_requests}
    assert added["cell"] == ["de.health"]
    assert steps(tick(prepare_campaign, home, instance)) == ["curate:sample-eu"]
    tick(open_round, home, instance)
