from datetime import timedelta

import pytest

from synnq_assets.errors import EnrolmentError, FederationError
from synnq_assets.federation import (
    Registry,
    build_round_base,
    build_segment,
    create_node,
    decide_quorum,
    find_lost_reason,
    learning_rate_at,
)
from synnq_assets.federation.enrolment import NodeIdentity
from synnq_assets.records.jobs import JobHandle, JobStatus, Progress
from synnq_assets.settings import load_recipe, resolve_settings
from synnq_assets.settings.recipe import ScheduleSettings
from synnq_assets.trust import Home
from synnq_assets_tests.builders import (
    NOW,
    build_agreement,
    build_checkpoint_record,
    build_profile,
)

COSINE = ScheduleSettings(
    peak_learning_rate=1.0, warmup_tokens=100, total_tokens=1100, final_share=0.1
)
WSD = COSINE.model_copy(update={"shape": "wsd", "decay_share": 0.5})


@pytest.mark.parametrize(
    ("schedule", "tokens", "rate"),
    [
        (COSINE, 0, 0.0),
        (COSINE, 50, 0.5),
        (COSINE, 100, 1.0),
        (COSINE, 600, 0.55),  # half-way: the mean of 1.0 and 0.1
        (COSINE, 1100, 0.1),
        (COSINE, 9999, 0.1),
        (WSD, 550, 1.0),
        (WSD, 825, 0.55),
        (WSD, 1100, 0.1),
    ],
)
def test_the_learning_rate_by_hand(schedule, tokens, rate):
    assert learning_rate_at(schedule, tokens) == pytest.approx(rate)


def test_a_segment_starts_and_ends_on_the_schedule():
    segment = build_segment(COSINE, 100, 500)
    assert segment.at(0.0) == pytest.approx(1.0)
    assert segment.at(1.0) == pytest.approx(0.55)


def base(**changes):
    settings = resolve_settings("local", "smoke")
    record = build_round_base(
        settings,
        round_key="r0001",
        parent=build_checkpoint_record(),
        roster=["node-b", "node-a"],
        tokens_planned=1000,
    )
    return record.model_copy(update=changes)


def test_a_round_needs_its_minimum_of_nodes():
    settings = resolve_settings("local", "smoke")
    with pytest.raises(FederationError, match="0 active nodes, but a round needs at least 1"):
        build_round_base(
            settings,
            round_key="r0001",
            parent=build_checkpoint_record(),
            roster=[],
            tokens_planned=1,
        )


@pytest.mark.parametrize(
    ("num_accepted", "num_open", "is_late", "trigger"),
    [
        (2, 1, False, "quorum"),
        (1, 0, False, "complete"),
        (1, 1, False, "waiting"),
        (1, 1, True, "deadline"),
        (0, 1, True, "short"),
        (0, 0, False, "waiting"),
    ],
)
def test_quorum_by_hand(num_accepted, num_open, is_late, trigger):
    record = base(quorum=2, minimum=1)
    now = record.deadline_at + timedelta(seconds=1 if is_late else -1)
    decision = decide_quorum(record, num_accepted=num_accepted, num_open=num_open, now=now)
    assert decision.trigger == trigger
    assert decision.is_ready == (trigger in {"quorum", "complete", "deadline"})


HANDLE = JobHandle(
    assignment_id="r0001.node-a.1",
    node_id="node-a",
    backend="local",
    job_id="1",
    job_dir="/x",
    submitted_at=NOW,
)


def status(state):
    return JobStatus(job_id="1", state=state, exit_code=None, reason="why", observed_at=NOW)


def progress(seconds):
    return Progress(
        assignment_id="r0001.node-a.1",
        phase="training",
        step=1,
        num_steps=2,
        loss=1.0,
        tokens_per_second=1.0,
        failure=None,
        reported_at=NOW + timedelta(seconds=seconds),
    )


@pytest.mark.parametrize(
    ("state", "report", "after_seconds", "expected"),
    [
        ("failed", None, 1, "job failed: why"),
        ("lost", None, 1, "job lost: why"),
        ("pending", None, 9999, None),  # a queue may be long
        ("unknown", None, 9999, None),  # a scheduler that does not answer is not a failure
        ("succeeded", None, 9999, None),
        ("running", None, 9, None),
        ("running", None, 11, "no progress report for 11 s, the lease is 10 s"),
        ("running", progress(5), 14, None),
        ("running", progress(5), 16, "no progress report for 11 s, the lease is 10 s"),
    ],
)
def test_leases_by_hand(state, report, after_seconds, expected):
    now = NOW + timedelta(seconds=after_seconds)
    assert find_lost_reason(HANDLE, status(state), report, lease_seconds=10, now=now) == expected


@pytest.fixture
def home(tmp_path):
    return Home.create(tmp_path / "home", resolve_settings("local", "smoke"))


def apply(tmp_path, home, node_id="node-a", **changes):
    identity = NodeIdentity(node_id, "synnq-smoke", "A", home.coordinator.public_key)
    values = {"profile": build_profile(node_id), "agreement": build_agreement(node_id), **changes}
    return create_node(tmp_path / node_id, identity, **values)


def test_a_node_enrols_with_its_own_signature(tmp_path, home):
    registry = Registry(home.ledger)
    record = registry.enrol(apply(tmp_path, home), home.coordinator, at=1)
    assert registry.get("node-a") == record
    assert [node.node_id for node in registry.list_nodes()] == ["node-a"]
    with pytest.raises(EnrolmentError, match="enrolled already"):
        registry.enrol(
            home.store.get_bytes("registry/applications/node-a.json"), home.coordinator, at=2
        )


def test_an_application_for_somebody_else_is_refused(tmp_path, home):
    application = apply(tmp_path, home, profile=build_profile("node-b"))
    with pytest.raises(EnrolmentError, match="names several nodes: node-a, node-b"):
        Registry(home.ledger).enrol(application, home.coordinator, at=1)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"payload": "e30="}', b"\xff"])
def test_a_broken_application_is_refused(home, data):
    with pytest.raises(EnrolmentError, match="application refused"):
        Registry(home.ledger).enrol(data, home.coordinator, at=1)


def test_a_suspended_node_keeps_its_history_and_loses_its_voice(tmp_path, home):
    registry = Registry(home.ledger)
    registry.enrol(apply(tmp_path, home), home.coordinator, at=1)
    registry.set_status("node-a", "suspended", home.coordinator, at=2)
    assert registry.get("node-a").status == "suspended"
    assert len(list(home.store.iter_keys("registry/nodes/node-a"))) == 2
    registry.set_status("node-a", "revoked", home.coordinator, at=3)
    with pytest.raises(EnrolmentError, match="revoked; enrol it anew"):
        registry.set_status("node-a", "active", home.coordinator, at=4)


def test_an_unknown_node_says_where_to_look(home):
    with pytest.raises(EnrolmentError, match="not enrolled; see `synnq nodes list`"):
        Registry(home.ledger).get("node-x")


def test_the_smoke_recipe_s_schedule_covers_its_rounds():
    assert load_recipe("smoke", {}).schedule.total_tokens > 0
