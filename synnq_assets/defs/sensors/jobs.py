"""Jobs: submitted, watched, collected; the lost ones reassigned."""

import json
from pathlib import Path

import dagster as dg

from synnq_assets.compute import build_backend, read_progress
from synnq_assets.defs import jobs
from synnq_assets.defs.federation import list_unissued
from synnq_assets.defs.reaping import reap_dead_runs
from synnq_assets.defs.recording import log_skipped
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.sealed import clear_sealed
from synnq_assets.defs.sensors.steps import INTERVAL_SECONDS, RUNNING, add_partitions, request_step
from synnq_assets.errors import ComputeError, RecordError
from synnq_assets.federation import find_lost_reason
from synnq_assets.records.base import now_at, parse_strict_json
from synnq_assets.records.identifiers import parse_assignment_id
from synnq_assets.records.jobs import JobHandle, JobStatus
from synnq_assets.trust import Home
from synnq_assets.trust.ledger import Skip, skipping


def live_rounds(opened: Home) -> list[str]:
    """Return the rounds whose submissions can still count, oldest first."""
    return opened.campaign.list_rounds()[-1 - opened.settings.recipe.rounds.max_staleness_rounds :]


def request_for(
    context: dg.SensorEvaluationContext, opened: Home, verb: str, assignment_id: str, **tags: str
) -> list[dg.RunRequest]:
    """Return the request to submit, collect or reassign one assignment."""
    round_key, node_id, _ = parse_assignment_id(assignment_id)
    return request_step(
        context,
        opened,
        f"{verb}:{assignment_id}",
        job=verb,
        partition_key=f"{round_key}|{node_id}",
        tags={"synnq/assignment": assignment_id, "synnq/site": node_id, **tags},
    )


@dg.sensor(jobs=[jobs.submit], minimum_interval_seconds=INTERVAL_SECONDS, default_status=RUNNING)
def dispatch_orders(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult:
    """Submit a job for every order that has none."""
    opened = home.open()
    campaign, skip = opened.campaign, log_skipped(context)
    requests: list[dg.RunRequest] = []
    for round_key in campaign.list_rounds()[-1:]:
        if campaign.find_checkpoint(round_key):
            continue
        for order in campaign.iter_open_orders(round_key, skip=skip):
            with skipping(skip, order.assignment_id):
                if campaign.find_handle(order.assignment_id) is None:
                    requests += request_for(context, opened, "submit", order.assignment_id)
    return dg.SensorResult(
        run_requests=requests, dynamic_partitions_requests=add_partitions(context, opened)
    )


def _observe(handle: JobHandle, status: JobStatus) -> dg.AssetObservation:
    round_key, node_id, _ = parse_assignment_id(handle.assignment_id)
    progress = read_progress(Path(handle.job_dir))
    return dg.AssetObservation(
        "training_job",
        partition=f"{round_key}|{node_id}",
        metadata={
            "assignment": handle.assignment_id,
            "state": status.state,
            "reason": status.reason or "-",
            "step": f"{progress.step} of {progress.num_steps}" if progress else "-",
            "loss": progress.loss if progress and progress.loss is not None else "-",
        },
    )


def read_cursor(cursor: str | None) -> dict[str, str]:
    """Return assignment -> the state last seen; none where the cursor is not one of ours.

    All that hangs on it is which observations are repeated, so a damaged cursor, or one of another
    version, is begun anew.
    """
    try:
        seen = parse_strict_json((cursor or "{}").encode())
    except (RecordError, UnicodeEncodeError):
        return {}
    if not isinstance(seen, dict):
        return {}
    return {name: state for name, state in seen.items() if isinstance(state, str)}


def _list_handles(opened: Home, skip: Skip) -> list[JobHandle]:
    """Return the jobs of all orders that may still be answered."""
    handles = []
    for round_key in live_rounds(opened):
        for order in opened.campaign.iter_open_orders(round_key, skip=skip):
            with skipping(skip, order.assignment_id):
                if handle := opened.campaign.find_handle(order.assignment_id):
                    handles.append(handle)
    return handles


def _poll(
    context: dg.SensorEvaluationContext, opened: Home, handles: list[JobHandle]
) -> dict[str, JobStatus]:
    try:
        return build_backend(opened.settings.profile).poll(handles)
    except ComputeError as error:
        context.log.error(f"the scheduler was not asked: {error}")
        return {}


def _decide_job(
    context: dg.SensorEvaluationContext, opened: Home, handle: JobHandle, status: JobStatus
) -> list[dg.RunRequest]:
    """Collect what ended, reassign what was lost while its round was open."""
    if status.state == "succeeded":
        return request_for(context, opened, "collect", handle.assignment_id)
    lost = find_lost_reason(
        handle,
        status,
        read_progress(Path(handle.job_dir)),
        lease_seconds=opened.settings.recipe.rounds.lease_seconds,
        now=now_at(),
    )
    round_key, _, _ = parse_assignment_id(handle.assignment_id)
    if lost is None or opened.campaign.find_checkpoint(round_key):
        return []
    tags = {"synnq/reason": lost[:200]}
    return request_for(context, opened, "reassign", handle.assignment_id, **tags)


def _complete_losses(
    context: dg.SensorEvaluationContext, opened: Home, skip: Skip
) -> list[dg.RunRequest]:
    """Ask again for reassignments that were decided, but whose orders a crash held back."""
    requests: list[dg.RunRequest] = []
    for round_key in live_rounds(opened):
        if opened.campaign.find_checkpoint(round_key):
            continue
        for loss in opened.campaign.list_losses(round_key, skip=skip):
            if list_unissued(opened, loss.replacements):
                requests += request_for(context, opened, "reassign", loss.lost)
    return requests


@dg.sensor(
    jobs=[jobs.collect, jobs.reassign],
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=RUNNING,
)
def monitor_jobs(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult:
    """Poll every open job in one call; collect what ended, reassign what was lost."""
    opened = home.open()
    if reaped := reap_dead_runs(context.instance):
        context.log.warning(f"runs whose process was gone were closed: {', '.join(reaped)}")
    skip = log_skipped(context)
    for assignment_id in clear_sealed(opened, live_rounds(opened), skip=skip):
        context.log.info(f"what was sealed for {assignment_id} was removed: it is settled")
    requests = _complete_losses(context, opened, skip)
    handles = _list_handles(opened, skip)
    statuses = _poll(context, opened, handles)
    seen = read_cursor(context.cursor)
    states: dict[str, str] = {}
    events: list[dg.AssetObservation] = []
    for handle in handles:
        name = handle.assignment_id
        if (status := statuses.get(name)) is None:
            states |= {name: seen[name]} if name in seen else {}
            continue
        with skipping(skip, name):
            if seen.get(name) != status.state:
                events.append(_observe(handle, status))
            states[name] = status.state
            requests += _decide_job(context, opened, handle, status)
    return dg.SensorResult(
        run_requests=requests,
        asset_events=events,
        cursor=json.dumps(states),
        dynamic_partitions_requests=add_partitions(context, opened),
    )
