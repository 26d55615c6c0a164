"""Before the first round: corpora, tokenizer, shards, nodes, the initial checkpoint."""

import dagster as dg

from synnq_assets.defs import jobs
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.sensors.steps import INTERVAL_SECONDS, RUNNING, add_partitions, request_step
from synnq_assets.defs.shards import PLAN, TOKENIZER, is_sealed, planned_cells
from synnq_assets.trust import Home
from synnq_assets.trust.campaign import INITIAL_ROUND


@dg.sensor(
    jobs=jobs.PREPARATION,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=RUNNING,
)
def prepare_campaign(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult:
    """Bring the campaign to where its first round can open."""
    opened = home.open()
    names = [source.name for source in opened.settings.recipe.corpus.sources]
    requests: list[dg.RunRequest] = []
    keys = opened.store.iter_keys("corpora")
    curated = {key.split("/")[1] for key in keys if key.endswith("/report.json")}
    for name in names:
        if name not in curated:
            requests += request_step(
                context, opened, f"curate:{name}", job=jobs.curate.name, partition_key=name
            )
    if names and curated.issuperset(names):
        requests = _prepare_shards(context, opened)
        if opened.store.has(PLAN) and not opened.campaign.find_evaluation(INITIAL_ROUND):
            requests += request_step(
                context,
                opened,
                f"initial:{INITIAL_ROUND}",
                job=jobs.initialise.name,
                partition_key=INITIAL_ROUND,
            )
    return dg.SensorResult(
        run_requests=requests, dynamic_partitions_requests=add_partitions(context, opened)
    )


def _prepare_shards(context: dg.SensorEvaluationContext, opened: Home) -> list[dg.RunRequest]:
    if not (opened.store.has(PLAN) and opened.store.has(TOKENIZER)):
        return request_step(context, opened, "plan", job=jobs.plan.name)
    # A range follows Dagster's order: what it knows, then what this tick adds.
    planned, known = planned_cells(opened), context.instance.get_dynamic_partitions("cell")
    ordered = [cell for cell in known if cell in planned]
    ordered += [cell for cell in planned if cell not in known]
    open_cells = [cell for cell in ordered if not is_sealed(opened, cell)]
    if not open_cells:
        return []
    tags = {
        "dagster/asset_partition_range_start": open_cells[0],
        "dagster/asset_partition_range_end": open_cells[-1],
    }
    return request_step(context, opened, "seal", job=jobs.seal.name, tags=tags)
