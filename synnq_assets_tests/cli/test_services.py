import dagster as dg
import pytest

from synnq_assets.cli.services import create_database, write_instance
from synnq_assets.settings import resolve_settings
from synnq_assets.trust import Home


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNNQ_HOME", str(tmp_path / "home"))
    home = Home.create(tmp_path / "home", resolve_settings("local", "smoke"))
    write_instance(home)
    return home


def read_limits(home):
    with dg.DagsterInstance.from_config(str(home.path / "dagster")) as instance:
        limits = {p.name: p.limit for p in instance.event_log_storage.get_pool_limits()}
        return limits, instance.global_op_concurrency_default_limit


def test_decisions_run_one_at_a_time_and_submissions_side_by_side(home):
    create_database(home)
    assert read_limits(home) == ({"submit": 4}, 1)


def test_a_limit_that_an_operator_set_stays(home):
    create_database(home)
    with dg.DagsterInstance.from_config(str(home.path / "dagster")) as instance:
        instance.event_log_storage.set_concurrency_slots("submit", 2)
    create_database(home)
    assert read_limits(home)[0] == {"submit": 2}
