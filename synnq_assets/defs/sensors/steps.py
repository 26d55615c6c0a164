"""A step of the campaign is asked for until it is done, however many ticks ask."""

import dagster as dg

from synnq_assets.defs.partitions import (
    cells,
    rounds,
    sites,
    sources,
    verify_partition_keys,
)
from synnq_assets.defs.recording import log_skipped
from synnq_assets.defs.shards import planned_cells
from synnq_assets.federation import Registry
from synnq_assets.settings import sensor_interval_seconds
from synnq_assets.trust import Home
from synnq_assets.trust.campaign import INITIAL_ROUND
from synnq_assets.trust.ledger import skipping

INTERVAL_SECONDS = sensor_interval_seconds()
RUNNING = dg.DefaultSensorStatus.RUNNING
FAILED = [dg.DagsterRunStatus.FAILURE]
ENDED = [*FAILED, dg.DagsterRunStatus.CANCELED]  # and did not do its step
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

    The run key carries the number of failed and cancelled runs: such a step is asked for again, a
    running or finished one is not. A cancelled run is no failure: somebody stopped it.
    """
    failures, ended = (
        context.instance.get_runs_count(dg.RunsFilter(tags={STEP_TAG: step}, statuses=statuses))
        for statuses in (FAILED, ENDED)
    )
    if failures >= opened.settings.recipe.rounds.max_attempts:
        context.log.error(f"{step} failed {failures} times; an operator has to look at its runs")
        return []
    return [
        dg.RunRequest(
            run_key=f"{opened.path.name}:{step}:{ended}",
            job_name=job,
            partition_key=partition_key,
            tags={STEP_TAG: step, **(tags or {})},
        )
    ]


def add_partitions(
    context: dg.SensorEvaluationContext, opened: Home, *, next_round: str = INITIAL_ROUND
) -> list[dg.AddDynamicPartitionsRequest]:
    """Return requests for the partitions that the campaign has and Dagster does not know.

    Partitions follow from settings and records, so a run that was killed before it added its own,
    or a lost database, holds nothing up.
    """
    skip = log_skipped(context)
    nodes = Registry(opened.ledger).list_nodes(skip=skip)
    wanted: list[tuple[dg.DynamicPartitionsDefinition, list[str]]] = [
        (sources, [source.name for source in opened.settings.recipe.corpus.sources]),
        (cells, planned_cells(opened)),
        (rounds, sorted({INITIAL_ROUND, *opened.campaign.list_rounds(), next_round})),
        (sites, [node.node_id for node in nodes]),
    ]
    additions = []
    for definition, keys in wanted:
        name = str(definition.name)
        known = set(context.instance.get_dynamic_partitions(name))
        missing: list[str] = []
        for key in keys:
            with skipping(skip, f"a {name}"):
                missing += verify_partition_keys(name, [key] if key not in known else [])
        if missing:
            additions.append(definition.build_add_request(missing))
    return additions
