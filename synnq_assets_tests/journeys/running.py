"""Campaigns under the real Dagster daemon and web server, for the journeys."""

import json
import os
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from synnq_assets.cli.demo.command import finish_runs, is_finished
from synnq_assets.cli.demo.setup import build_settings, create_demo_home
from synnq_assets.cli.home import open_home
from synnq_assets.cli.services import Services
from synnq_assets.trust import Home

PATIENCE_SECONDS = 1500.0  # on a machine that is busy with other things
# A busy machine must not make a node late: what is tested here is the whole, not its deadlines.
PATIENT_RULES = {"DEADLINE_SECONDS": "3600", "LEASE_SECONDS": "900", "QUORUM": "4"}


@dataclass(frozen=True)
class Running:
    """A campaign's home and the services over it."""

    home: Home
    services: Services

    @property
    def url(self) -> str:
        return self.services.url


@contextmanager
def campaign_environment():
    """What a campaign's processes inherit; given back afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNNQ_SENSOR_SECONDS", "1")
        patch.setenv("SYNNQ_HOME", "")  # set by whoever opens a home
        patch.setenv("DAGSTER_HOME", "")
        for name, value in PATIENT_RULES.items():
            patch.setenv(f"SYNNQ_RECIPE__ROUNDS__{name}", value)
        yield


def create_campaign(path: Path) -> Home:
    """Create the smallest campaign with the demo's four nodes."""
    settings = build_settings("smoke")
    create_demo_home(path, settings)
    return open_home(path)


def wait_until(condition, services: Services, *, look_seconds: float = 0.5):
    """Wait for a condition, and return it; a service that ended by itself is an error."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (seen := condition()):
        services.check()
        assert time.monotonic() < deadline, f"{condition} did not come true"
        time.sleep(look_seconds)
    return seen


def finish_campaign(home: Home, services: Services) -> None:
    """Wait for the last release, and for the last run to say so."""
    wait_until(lambda: is_finished(home), services)
    finish_runs(home, seconds=PATIENCE_SECONDS)


@contextmanager
def open_instance(home: Home):
    """Open Dagster's own storage of a home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home.path / "dagster"))
        with dg.DagsterInstance.get() as instance:
            yield instance


def list_materializations(instance: dg.DagsterInstance, asset: str, partition_key: str):
    """Return the materialisations of one partition of an asset."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[partition_key]),
        limit=100,
    )
    return records.records


def list_runs(instance: dg.DagsterInstance, step: str) -> list[dg.DagsterRunStatus]:
    """Return how the runs of one step ended."""
    return [run.status for run in instance.get_runs(dg.RunsFilter(tags={"synnq/step": step}))]


def ask(url: str, query: str, **variables):
    """Ask the web server's GraphQL; return its data."""
    request = urllib.request.Request(
        f"{url}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        answer = json.load(response)
    assert "errors" not in answer, answer
    return answer["data"]


def command_environment(**changes: str) -> dict[str, str]:
    """The environment of a person's own shell: nothing of ours is set."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SYNNQ_", "DAGSTER_"))}
    return {**kept, "COLUMNS": "200", "HF_HUB_OFFLINE": "1", **changes}
