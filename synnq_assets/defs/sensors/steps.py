"""A step of the campaign is asked for until it is done, however many ticks ask."""

from collections.abc import Iterable

import dagster as dg

from synnq_assets.settings import sensor_interval_seconds
from synnq_assets.trust import Home

INTERVAL_SECONDS = sensor_interval_seconds()
RUNNING = dg.DefaultSensorStatus.RUNNING
FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
IN_PROGRESS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
STEP_TAG = "synnq/step"


def request_step(
    context: dg.SensorEvaluationContext,
    opened: Home,
    step: str,
    *,
    job: str,
    partition_key: str | None = None,
    tags: dict[str, str] | None = None,
) -> list[dg.RunRequest]:
    """Return the request for a step, or none where it failed too often.

    The run key carries the number of failures: a failed step is asked for again, a running or
    finished one is not.
    """
    failures = context.instance.get_runs_count(
        dg.RunsFilter(tags={STEP_TAG: step}, statuses=FAILED)
    )
    if failures >= opened.settings.recipe.rounds.max_attempts:
        context.log.error(f"{step} failed {failures} times; an operator has to look at its runs")
        return []
    return [
        dg.RunRequest(
            run_key=f"{opened.path.name}:{step}:{failures}",
            job_name=job,
            partition_key=partition_key,
            tags={STEP_TAG: step, **(tags or {})},
        )
    ]


def find_missing(
    context: dg.SensorEvaluationContext, name: str, wanted: Iterable[str]
) -> list[str]:
    """Return the partition keys that Dagster does not know yet."""
    known = set(context.instance.get_dynamic_partitions(name))
    return [key for key in wanted if key not in known]
