"""Runs that failed, and runs that a stop interrupts, in Dagster's own storage."""

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from synnq_assets.cli.demo.command import verify_can_go_on
from synnq_assets.cli.demo.setup import build_settings, create_demo_home
from synnq_assets.cli.runs import (
    announce_stop,
    close_stopped_runs,
    find_exhausted,
    list_failures,
    open_instance,
)
from synnq_assets.cli.services import write_instance
from synnq_assets.defs.sensors.steps import STEP_TAG
from synnq_assets.errors import EmptyCorpusError, SynnqError
from synnq_assets_tests.defs.by_hand import accept, open_round_by_hand, start

CURATE = {STEP_TAG: "curate:own"}


@pytest.fixture
def home(tmp_path):
    home = create_demo_home(tmp_path / "home", build_settings("smoke"))
    write_instance(home)
    return home


@pytest.fixture
def instance(home):
    with open_instance(home) as instance:
        yield instance


@dg.op
def curate_nothing():
    raise EmptyCorpusError("source 'own': none of 2 documents passed; see licences")


@dg.job
def curating():
    curate_nothing()


def fail(instance, tags=CURATE):
    assert not curating.execute_in_process(
        instance=instance, tags=tags, raise_on_error=False
    ).success


def status(instance, run):
    return instance.get_run_by_id(run.run_id).status


def test_runs_under_way_are_cancelled_by_a_stop_and_the_others_left_alone(home, instance):
    statuses = dg.DagsterRunStatus
    started, starting, unsent, done = (
        create_run_for_test(instance, status=status)
        for status in (statuses.STARTED, statuses.STARTING, statuses.NOT_STARTED, statuses.SUCCESS)
    )
    under_way = announce_stop(home)
    assert set(under_way) == {run.run_id for run in (started, starting, unsent)}
    assert status(instance, started) == statuses.CANCELING
    assert status(instance, starting) == statuses.STARTING
    instance.report_run_failed(starting)  # as the code server says when its process was ended
    late = create_run_for_test(instance, status=statuses.STARTED)  # just before the daemon ended
    earlier = create_run_for_test(instance, status=statuses.FAILURE)
    close_stopped_runs(home, under_way)
    for run in (started, starting, late):
        assert status(instance, run) == statuses.CANCELED
    assert status(instance, unsent) == statuses.NOT_STARTED
    assert status(instance, done) == statuses.SUCCESS
    assert status(instance, earlier) == statuses.FAILURE
    assert len(list_failures(instance)) == 1


def test_a_failure_is_told_in_the_step_s_own_sentence(instance):
    fail(instance)
    (failure,) = list_failures(instance)
    assert failure.step == "curate:own"
    assert failure.sentence == "source 'own': none of 2 documents passed; see licences"


def test_a_step_is_exhausted_when_it_failed_as_often_as_it_may(instance):
    fail(instance)
    fail(instance, {STEP_TAG: "curate:other"})
    fail(instance)
    assert find_exhausted(instance, 3) is None
    fail(instance)
    assert find_exhausted(instance, 3).step == "curate:own"
    # An operator executed it again, and it went well.
    create_run_for_test(instance, tags=CURATE, status=dg.DagsterRunStatus.SUCCESS)
    assert find_exhausted(instance, 3) is None


def test_the_demo_stops_with_the_sentence_of_what_failed_too_often(home, instance):
    verify_can_go_on(home, instance)
    for _ in range(home.settings.recipe.rounds.max_attempts):
        fail(instance)
    with pytest.raises(SynnqError) as stopped:
        verify_can_go_on(home, instance)
    assert str(stopped.value) == (
        "the step curate:own failed 3 times: source 'own': none of 2 documents passed; see licences"
    )


def test_the_demo_stops_where_a_round_can_never_close(home, instance, monkeypatch):
    start(home)
    base = open_round_by_hand(home, nodes=("node-east",))
    accept(home, "r0001.node-east.1", decision="refused")
    verify_can_go_on(home, instance)
    late = base.deadline_at.replace(year=base.deadline_at.year + 1)
    monkeypatch.setattr("synnq_assets.cli.demo.command.now_at", lambda: late)
    with pytest.raises(SynnqError, match="r0001 got 0 good submissions .* needs 1"):
        verify_can_go_on(home, instance)
