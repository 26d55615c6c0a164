"""What the schedules ask for, from a home whose records the test writes."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from synnq_assets.cli.demo.setup import create_demo_home
from synnq_assets.defs.evaluation import MEASURE_AGAIN
from synnq_assets.defs.resources import HomeResource
from synnq_assets.federation import Registry
from synnq_assets.settings import resolve_settings
from synnq_assets_tests.builders import build_checkpoint_record
from synnq_assets_tests.defs.test_sensors import evaluate

MONDAY = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def definitions():
    from synnq_assets.definitions import defs

    return defs


@pytest.fixture
def home(tmp_path):
    home = create_demo_home(tmp_path / "home", resolve_settings("local", "smoke"))
    Registry(home.ledger).load()
    return home


@pytest.fixture
def instance():
    with dg.instance_for_test() as instance:
        yield instance


def tick(definitions, name, home, instance, at=MONDAY):
    repository = definitions.get_repository_def()
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=at,
        repository_def=repository,
        resources={"home": HomeResource(path=str(home.path))},
    )
    return repository.get_schedule_def(name).evaluate_tick(context)


@pytest.mark.parametrize(
    ("name", "cron", "assets"),
    [
        ("nightly_corpus", "0 2 * * *", {"curated_corpus"}),
        ("weekly_evaluation", "0 4 * * 1", {"evaluation_report", "compliance_report"}),
        ("daily_audit", "0 5 * * *", {"audit_log"}),
    ],
)
def test_a_schedule_is_off_and_runs_its_assets(definitions, name, cron, assets):
    schedule = definitions.get_repository_def().get_schedule_def(name)
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert schedule.cron_schedule == cron
    job = definitions.resolve_job_def(schedule.job_name)
    assert {key.to_user_string() for key in job.asset_layer.selected_asset_keys} == assets


def test_nightly_every_source_is_curated_once_a_night(definitions, home, instance):
    assert tick(definitions, "nightly_corpus", home, instance).run_requests == []  # not curated yet
    instance.add_dynamic_partitions("source", ["sample-eu"])
    first, again = (
        tick(definitions, "nightly_corpus", home, instance).run_requests for _ in range(2)
    )
    night = datetime(2026, 11, 24, 2, tzinfo=UTC)
    (later,) = tick(definitions, "nightly_corpus", home, instance, at=night).run_requests
    assert [request.partition_key for request in first] == ["sample-eu"]
    assert [request.run_key for request in first] == [request.run_key for request in again]
    assert later.run_key != first[0].run_key


def test_weekly_nothing_is_measured_before_a_checkpoint_was_promoted(definitions, home, instance):
    result = tick(definitions, "weekly_evaluation", home, instance)
    assert (result.run_requests, result.skip_message) == ([], "nothing was promoted yet")


def test_weekly_the_promoted_checkpoint_is_measured_again(definitions, home, instance):
    instance.add_dynamic_partitions("round", ["r0000", "r0001"])
    first = build_checkpoint_record("r0000")
    home.campaign.put_checkpoint(first, home.coordinator)
    evaluate(home, "r0000")
    home.campaign.put_base(build_base(home, first), home.coordinator)
    home.campaign.put_checkpoint(build_checkpoint_record("r0001", first), home.coordinator)
    evaluate(home, "r0001", decision="rolled_back")
    (request,) = tick(definitions, "weekly_evaluation", home, instance).run_requests
    assert request.partition_key == "r0000"  # the newest that was not rolled back
    assert request.run_key == "weekly:r0000:20261123"
    assert MEASURE_AGAIN.items() <= request.tags.items()


def build_base(home, parent):
    from synnq_assets.federation import build_round_base

    return build_round_base(
        home.settings,
        round_key="r0001",
        parent=parent,
        roster=("node-east", "node-north"),
        tokens_planned=100,
    )


def test_daily_the_audit_log_is_verified(definitions, home, instance):
    (request,) = tick(definitions, "daily_audit", home, instance).run_requests
    assert request.partition_key is None
