"""Jobs: submitted, watched, collected; the lost ones reassigned."""

import json
from pathlib import Path

import dagster as dg

from synnq_assets.compute import build_backend, read_progress
from synnq_assets.defs import jobs
from synnq_assets.defs.reaping import reap_dead_runs
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.sensors.steps import INTERVAL_SECONDS, RUNNING, request_step
from synnq_assets.errors import ComputeError
from synnq_assets.federation import find_lost_reason
from synnq_assets.records.base import now_at
from synnq_assets.records.jobs import JobHandle, JobStatus
from synnq_assets.trust import Home


def live_rounds(opened: Home) -> list[str]:
    """Return the rounds whose submissions can still count, oldest first."""
    return opened.campaign.list_rounds()[-1 - opened.settings.recipe.rounds.max_staleness_rounds :]


@dg.sensor(jobs=[jobs.submit], minimum_interval_seconds=INTERVAL_SECONDS, default_status=RUNNING)
def dispatch_orders(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult:
    """Submit a job for every order that has none."""
    opened = home.open()
    campaign = opened.campaign
    requests: list[dg.RunRequest] = []
    for round_key in campaign.list_rounds()[-1:]:
        if campaign.find_checkpoint(round_key):
            continue
        for order in campaign.iter_open_orders(round_key):
            if campaign.find_handle(order.assignment_id) is None:
                requests += request_step(
                    context,
                    opened,
                    f"submit:{order.assignment_id}",
                    job=jobs.submit.name,
                    partition_key=f"{round_key}|{order.node_id}",
                    tags={"synnq/assignment": order.assignment_id, "synnq/site": order.node_id},
                )
    return dg.SensorResult(run_requests=requests)


def _observe(handle: JobHandle, status: JobStatus, round_key: str) -> dg.AssetObservation:
    progress = read_progress(Path(handle.job_dir))
    return dg.AssetObservation(
        "training_job",
        partition=f"{round_key}|{handle.node_id}",
        metadata={
            "assignment": handle.assignment_id,
            "state": status.state,
            "reason": status.reason or "-",
            "step": f"{progress.step} of {progress.num_steps}" if progress else "-",
            "loss": progress.loss if progress and progress.loss is not None else "-",
        },
    )


@dg.sensor(
    jobs=[jobs.collect, jobs.reassign],
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=RUNNING,
)
def monitor_jobs(
    context: dg.SensorEvaluationContext, home: HomeResource
) -> dg.SensorResult | dg.SkipReason:
    """Poll every open job in one call; collect what ended, reassign what was lost."""
    opened = home.open()
    if reaped := reap_dead_runs(context.instance):
        context.log.warning(f"runs whose process was gone were closed: {', '.join(reaped)}")
    campaign, settings = opened.campaign, opened.settings
    handles = [
        (round_key, handle)
        for round_key in live_rounds(opened)
        for order in campaign.iter_open_orders(round_key)
        if (handle := campaign.find_handle(order.assignment_id))
    ]
    try:
        statuses = build_backend(settings.profile).poll([handle for _, handle in handles])
    except ComputeError as error:
        return dg.SkipReason(str(error))
    seen: dict[str, str] = json.loads(context.cursor or "{}")
    requests: list[dg.RunRequest] = []
    events: list[dg.AssetObservation] = []
    for round_key, handle in handles:
        status = statuses[handle.assignment_id]
        if seen.get(handle.assignment_id) != status.state:
            events.append(_observe(handle, status, round_key))
        partition_key = f"{round_key}|{handle.node_id}"
        tags = {"synnq/assignment": handle.assignment_id, "synnq/site": handle.node_id}
        lost = find_lost_reason(
            handle,
            status,
            read_progress(Path(handle.job_dir)),
            lease_seconds=settings.recipe.rounds.lease_seconds,
            now=now_at(),
        )
        if status.state == "succeeded":
            requests += request_step(
                context,
                opened,
                f"collect:{handle.assignment_id}",
                job=jobs.collect.name,
                partition_key=partition_key,
                tags=tags,
            )
        elif lost and campaign.find_checkpoint(round_key) is None:
            requests += request_step(
                context,
                opened,
                f"reassign:{handle.assignment_id}",
                job=jobs.reassign.name,
                partition_key=partition_key,
                tags={**tags, "synnq/reason": lost[:200]},
            )
    cursor = json.dumps(
        {handle.assignment_id: statuses[handle.assignment_id].state for _, handle in handles}
    )
    return dg.SensorResult(run_requests=requests, asset_events=events, cursor=cursor)
