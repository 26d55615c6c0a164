"""What makes a promise of the demo kept or broken, from records that the test writes."""

import shutil

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from synnq_assets.cli.demo.promises import check_promises
from synnq_assets.cli.demo.setup import NODES, build_settings, create_demo_home
from synnq_assets.cli.home import open_home
from synnq_assets.cli.runs import open_instance
from synnq_assets.cli.services import write_instance
from synnq_assets.defs.reaping import GONE
from synnq_assets.defs.sensors.steps import STEP_TAG
from synnq_assets.records.base import now_at
from synnq_assets.records.federation import Reassignment
from synnq_assets.records.rounds import Contribution
from synnq_assets.records.submissions import CheckResult, Verdict
from synnq_assets_tests.builders import build_checkpoint_record, digest_of
from synnq_assets_tests.defs.by_hand import accept, build_order, evaluate, open_round_by_hand, start

LEARNING = "held-out perplexity falls in every round"
KILLED = "r0002: node-south is killed, its shards are reassigned"
HOSTILE = "r0003: node-west turns its update round and is refused"
NO_FAILURE = "no run failed"
CHECKS = ("signature", "lineage", "step_bound", "probe")


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    path = tmp_path_factory.mktemp("promises") / "home"
    home = create_demo_home(path, build_settings("smoke", num_rounds=3))
    write_instance(home)
    with open_instance(home):
        return home


@pytest.fixture
def home(begun, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNNQ_HOME", "")  # opening a home sets it
    home = open_home(shutil.copytree(begun.path, tmp_path / "home"))
    start(home)
    return home


def play(home, *perplexities, contributions=()):
    """Open one round for each perplexity, and end it with that; the parent of all is r0000."""
    parent = home.campaign.find_checkpoint("r0000")
    for number, perplexity in enumerate(perplexities, start=1):
        key = f"r{number:04d}"
        open_round_by_hand(home, key, [node.node_id for node in NODES])
        record = build_checkpoint_record(key, parent, contributions=contributions)
        home.campaign.put_checkpoint(record, home.coordinator)
        evaluate(home, key, perplexity=perplexity)


def lose(home, assignment_id, *replacements):
    taken = {name: (digest_of("shard"),) for name in replacements}
    loss = Reassignment(lost=assignment_id, replacements=taken, reason="gone", decided_at=now_at())
    home.campaign.put_loss(loss, home.coordinator)
    for name in replacements:
        round_key, node_id, attempt = name.split(".")
        order = build_order(home, home.campaign.find_base(round_key), node_id, int(attempt))
        home.campaign.put_order(order, home.coordinator)


def refuse(home, assignment_id, *failed):
    round_key, node_id, _ = assignment_id.split(".")
    checks = tuple(
        CheckResult(name=name, passed=name not in failed, reason="as found", figures={})
        for name in CHECKS
    )
    verdict = Verdict(
        round=round_key,
        assignment_id=assignment_id,
        node_id=node_id,
        submission_sha256=digest_of(assignment_id),
        decision="refused",
        score=0.0,
        num_tokens=1000,
        cell_tokens={"de.health": 1000},
        checks=checks,
        decided_at=now_at(),
    )
    home.campaign.put_verdict(verdict, home.coordinator)


def look(home, name):
    (promise,) = [promise for promise in check_promises(home) if promise.name == name]
    return promise.is_kept, promise.seen


@pytest.mark.parametrize(
    ("perplexities", "is_kept", "seen"),
    [
        ((9, 8, 7), True, "10.0 > 9.0 > 8.0 > 7.0"),
        ((9, 9, 7), False, "10.0 > 9.0 > 9.0 > 7.0"),
        ((9, 8, 8.5), False, "10.0 > 9.0 > 8.0 > 8.5"),
        ((9, 8), False, "10.0 > 9.0 > 8.0"),
    ],
    ids=["falls", "stands still", "rises at the end", "a round is missing"],
)
def test_perplexity_has_to_fall_in_every_round(home, perplexities, is_kept, seen):
    play(home, *perplexities)
    assert look(home, LEARNING) == (is_kept, seen)


def test_a_killed_node_s_shards_have_to_be_trained_by_others(home):
    play(home, 9, 8)
    assert look(home, KILLED) == (False, "not lost")
    lose(home, "r0002.node-south.1", "r0002.node-east.2", "r0002.node-north.2")
    accept(home, "r0002.node-east.2")
    assert not look(home, KILLED)[0]
    lose(home, "r0002.node-north.2", "r0002.node-west.2")  # it was lost too, and replaced
    assert not look(home, KILLED)[0]
    accept(home, "r0002.node-west.2")
    assert look(home, KILLED) == (
        True,
        "gone; taken over by r0002.node-east.2, r0002.node-north.2",
    )


def test_shards_that_nobody_took_over_break_the_promise(home):
    play(home, 9, 8)
    lose(home, "r0002.node-south.1")
    assert not look(home, KILLED)[0]


@pytest.mark.parametrize(
    ("failed", "is_kept"),
    [
        (["step_bound"], True),
        (["probe"], True),
        (["step_bound", "probe"], True),
        (["signature"], False),
        (["signature", "probe"], False),
        ([], False),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else None,
)
def test_a_turned_update_has_to_be_refused_for_being_one(home, failed, is_kept):
    play(home, 9, 8, 7)
    assert look(home, HOSTILE) == (False, "no verdict")
    refuse(home, "r0003.node-west.1", *failed)
    assert look(home, HOSTILE)[0] is is_kept


def test_an_accepted_turned_update_breaks_the_promise(home):
    play(home, 9, 8, 7)
    accept(home, "r0003.node-west.1")
    assert look(home, HOSTILE) == (False, "accepted")


def test_a_later_attempt_of_the_hostile_node_counts_where_the_first_was_lost(home):
    play(home, 9, 8, 7)
    lose(home, "r0003.node-west.1", "r0003.node-east.2")
    accept(home, "r0003.node-east.2")
    refuse(home, "r0003.node-west.2", "probe")
    assert look(home, HOSTILE) == (True, "probe: as found")
    accept(home, "r0003.node-west.3")
    assert not look(home, HOSTILE)[0]


def test_a_refused_update_in_a_checkpoint_breaks_the_promise(home):
    share = Contribution(
        node_id="node-west",
        assignment_id="r0003.node-west.1",
        submission_sha256=digest_of("update"),
        weight=1.0,
        tokens_factor=1.0,
        decay_factor=1.0,
        domain_factor=1.0,
        score_factor=1.0,
        update_norm=1.0,
        clipped_share=0.0,
        cosine_to_mean=1.0,
        staleness_rounds=0,
    )
    play(home, 9, 8, 7, contributions=(share,))
    refuse(home, "r0003.node-west.1", "probe")
    assert not look(home, HOSTILE)[0]


def test_fewer_rounds_promise_less(home, tmp_path):
    one = create_demo_home(tmp_path / "one", build_settings("smoke", num_rounds=1))
    shutil.copytree(home.path / "dagster", one.path / "dagster", dirs_exist_ok=True)
    names = {promise.name for promise in check_promises(one)}
    assert LEARNING in names
    assert not {KILLED, HOSTILE} & names


def test_without_a_release_that_promise_is_broken(home):
    assert look(home, "the last checkpoint is released") == (False, "no release")
    shutil.copytree(home.path / "keys", home.path / "releases" / "x")
    is_kept, seen = look(home, "the release verifies offline")
    assert not is_kept
    assert seen


def test_a_lost_audit_log_breaks_its_promise(home):
    assert look(home, "the audit log is consistent")[0]
    (home.path / "audit.sqlite").unlink()
    assert not look(home, "the audit log is consistent")[0]


def test_only_a_run_that_failed_by_itself_breaks_the_promise(home):
    tags = {STEP_TAG: "curate:sample-eu"}
    with open_instance(home) as instance:
        run = create_run_for_test(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
        instance.report_run_failed(run, message=GONE)
        create_run_for_test(instance, tags=tags, status=dg.DagsterRunStatus.CANCELED)
    assert look(home, NO_FAILURE) == (True, "all succeeded, or were interrupted")
    with open_instance(home) as instance:
        run = create_run_for_test(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
        instance.report_run_failed(run, message="it broke")
    assert look(home, NO_FAILURE) == (False, "curate:sample-eu")
