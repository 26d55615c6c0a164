"""Schedules, all off until an operator switches them on."""

from collections.abc import Iterator

import dagster as dg

from synnq_assets.defs.evaluation import MEASURE_AGAIN
from synnq_assets.defs.partitions import sources
from synnq_assets.defs.resources import HomeResource

OFF = dg.DefaultScheduleStatus.STOPPED


@dg.schedule(
    target=["curated_corpus"], cron_schedule="0 2 * * *", default_status=OFF, name="nightly_corpus"
)
def nightly_corpus(
    context: dg.ScheduleEvaluationContext, home: HomeResource
) -> Iterator[dg.RunRequest]:
    """Curate every source again; a campaign under way keeps the corpora that it was planned on.

    A source that was never curated is left to the preparation of the campaign.
    """
    known = set(context.instance.get_dynamic_partitions(sources.name or ""))
    for source in home.open().settings.recipe.corpus.sources:
        if source.name in known:
            yield dg.RunRequest(
                run_key=f"nightly:{source.name}:{context.scheduled_execution_time:%Y%m%d}",
                partition_key=source.name,
            )


@dg.schedule(
    target=["evaluation_report", "compliance_report"],
    cron_schedule="0 4 * * 1",
    default_status=OFF,
    name="weekly_evaluation",
)
def weekly_evaluation(
    context: dg.ScheduleEvaluationContext, home: HomeResource
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Measure the promoted checkpoint again, with the software as it is now."""
    promoted = home.open().campaign.find_promoted()
    if promoted is None:
        yield dg.SkipReason("nothing was promoted yet")
        return
    yield dg.RunRequest(
        run_key=f"weekly:{promoted.round}:{context.scheduled_execution_time:%Y%m%d}",
        partition_key=promoted.round,
        tags=MEASURE_AGAIN,
    )


daily_audit = dg.ScheduleDefinition(
    name="daily_audit", target=["audit_log"], cron_schedule="0 5 * * *", default_status=OFF
)
