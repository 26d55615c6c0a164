"""What starts what. Every sensor derives its decision from the signed records alone.

No sensor keeps state that matters: a wiped cursor changes nothing. A run is identified by the step
that it does and by how often that step failed, so a step runs once however many ticks ask for it.

    prepare_campaign   sources -> tokenizer and plan -> shards; nodes; the initial checkpoint
    open_round         the last checkpoint was judged -> the next round
    dispatch_orders    an order without a job -> submit it
    monitor_jobs       job ended -> collect; job lost or silent -> reassign
    aggregate_round    quorum, completeness or deadline -> aggregate, evaluate, report
    release_round      promoted, and due -> release
"""

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import dagster as dg

from synnq_assets.compute import build_backend, read_progress
from synnq_assets.defs.partitions import rounds, sites, sources
from synnq_assets.defs.reaping import reap_dead_runs
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.shards import PLAN, TOKENIZER
from synnq_assets.errors import ComputeError
from synnq_assets.federation import Registry, decide_quorum, find_lost_reason
from synnq_assets.records.base import now_at
from synnq_assets.records.identifiers import build_round_key, parse_round_key
from synnq_assets.records.jobs import JobHandle, JobStatus
from synnq_assets.settings import sensor_interval_seconds
from synnq_assets.trust import Home
from synnq_assets.trust.campaign import INITIAL_ROUND

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
    assets: Iterable[str],
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
            asset_selection=[dg.AssetKey(asset) for asset in assets],
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


@dg.sensor(
    target=[
        *("curated_corpus", "tokenizer", "shard_plan", "signed_shards", "node_profiles"),
        *("global_checkpoint", "evaluation_report"),
    ],
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=RUNNING,
)
def prepare_campaign(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult:
    """Bring the campaign to where its first round can open."""
    opened = home.open()
    names = [source.name for source in opened.settings.recipe.corpus.sources]
    additions = []
    if missing := find_missing(context, "source", names):
        additions.append(sources.build_add_request(missing))
    requests: list[dg.RunRequest] = []
    curated = {key.split("/")[1] for key in opened.store.iter_keys("corpora")}
    for name in names:
        if name not in curated:
            requests += request_step(
                context, opened, f"curate:{name}", assets=["curated_corpus"], partition_key=name
            )
    if names and not requests:
        requests = _prepare_shards(context, opened)
        if opened.store.has(PLAN) and not opened.campaign.find_evaluation(INITIAL_ROUND):
            if missing := find_missing(context, "round", [INITIAL_ROUND]):
                additions.append(rounds.build_add_request(missing))
            requests += request_step(
                context,
                opened,
                f"initial:{INITIAL_ROUND}",
                assets=["global_checkpoint", "evaluation_report"],
                partition_key=INITIAL_ROUND,
            )
    return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=additions)


def _prepare_shards(context: dg.SensorEvaluationContext, opened: Home) -> list[dg.RunRequest]:
    if not (opened.store.has(PLAN) and opened.store.has(TOKENIZER)):
        assets = ["tokenizer", "shard_plan", "node_profiles"]
        return request_step(context, opened, "plan", assets=assets)
    known = context.instance.get_dynamic_partitions("cell")
    open_cells = [c for c in known if not opened.store.has(f"shards/lineage/{c}.parquet")]
    if not open_cells:
        return []
    tags = {
        "dagster/asset_partition_range_start": open_cells[0],
        "dagster/asset_partition_range_end": open_cells[-1],
    }
    return request_step(context, opened, "seal", assets=["signed_shards"], tags=tags)


@dg.sensor(
    target=["round_base", "shard_allocation"],
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=RUNNING,
)
def open_round(
    context: dg.SensorEvaluationContext, home: HomeResource
) -> dg.SensorResult | dg.SkipReason:
    """Open the next round once the last checkpoint was judged and all shards are sealed."""
    opened = home.open()
    campaign = opened.campaign
    opened_rounds = campaign.list_rounds()
    last = opened_rounds[-1] if opened_rounds else INITIAL_ROUND
    if opened_rounds and campaign.find_allocation(last) is None:
        key = last  # the round was opened, but its orders were not all issued
    elif campaign.find_evaluation(last) is None:
        return dg.SkipReason(f"{last} is not judged yet")
    else:
        number = parse_round_key(last) + 1
        if number > opened.settings.recipe.rounds.num_rounds:
            return dg.SkipReason("the campaign's last round is done")
        key = build_round_key(number)
    known = context.instance.get_dynamic_partitions("cell")
    if not known or any(not opened.store.has(f"shards/lineage/{c}.parquet") for c in known):
        return dg.SkipReason("shards are not all sealed yet")
    nodes = [node.node_id for node in Registry(opened.ledger).list_nodes()]
    additions = []
    if missing := find_missing(context, "round", [key]):
        additions.append(rounds.build_add_request(missing))
    if missing := find_missing(context, "site", nodes):
        additions.append(sites.build_add_request(missing))
    requests = request_step(
        context, opened, f"open:{key}", assets=["round_base", "shard_allocation"], partition_key=key
    )
    return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=additions)


def live_rounds(opened: Home) -> list[str]:
    """Return the rounds whose submissions can still count, oldest first."""
    return opened.campaign.list_rounds()[-1 - opened.settings.recipe.rounds.max_staleness_rounds :]


@dg.sensor(
    target=["training_job"], minimum_interval_seconds=INTERVAL_SECONDS, default_status=RUNNING
)
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
                    assets=["training_job"],
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
    target=["local_checkpoint", "verified_submission", "shard_reassignment"],
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
                assets=["local_checkpoint", "verified_submission"],
                partition_key=partition_key,
                tags=tags,
            )
        elif lost and campaign.find_checkpoint(round_key) is None:
            requests += request_step(
                context,
                opened,
                f"reassign:{handle.assignment_id}",
                assets=["shard_reassignment"],
                partition_key=partition_key,
                tags={**tags, "synnq/reason": lost[:200]},
            )
    cursor = json.dumps(
        {handle.assignment_id: statuses[handle.assignment_id].state for _, handle in handles}
    )
    return dg.SensorResult(run_requests=requests, asset_events=events, cursor=cursor)


@dg.sensor(
    target=["global_checkpoint", "evaluation_report", "compliance_report"],
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=RUNNING,
)
def aggregate_round(
    context: dg.SensorEvaluationContext, home: HomeResource
) -> dg.SensorResult | dg.SkipReason:
    """Close a round by quorum, completeness or deadline; its participants are frozen in the tags."""
    opened = home.open()
    campaign, recipe = opened.campaign, opened.settings.recipe
    open_rounds = [
        key
        for key in campaign.list_rounds()
        if campaign.find_evaluation(key) is None and campaign.find_allocation(key)
    ]
    if not open_rounds:
        return dg.SkipReason("no round is open")
    key = open_rounds[0]
    base = campaign.find_base(key)
    assert base is not None  # list_rounds lists rounds by their base
    candidates = campaign.select_candidates(
        key, max_staleness_rounds=recipe.rounds.max_staleness_rounds
    )
    own = [verdict for verdict in candidates if verdict.round == key]
    now = now_at()
    decision = decide_quorum(
        base,
        num_accepted=len(own),
        num_open=sum(1 for _ in campaign.iter_open_orders(key)),
        now=now,
    )
    if campaign.find_checkpoint(key) is None:
        grace = timedelta(seconds=recipe.rounds.grace_seconds)
        if not decision.is_ready:
            log = context.log.error if decision.trigger == "short" else context.log.info
            log(f"{key}: {decision.message}")
            return dg.SkipReason(f"{key}: {decision.message}")
        newest_at = max(verdict.decided_at for verdict in own)
        if decision.trigger == "quorum" and now - newest_at < grace < base.deadline_at - now:
            return dg.SkipReason(f"{key}: {decision.message}; waiting out the grace period")
    requests = request_step(
        context,
        opened,
        f"aggregate:{key}",
        assets=["global_checkpoint", "evaluation_report", "compliance_report"],
        partition_key=key,
        tags={
            "synnq/trigger": decision.trigger,
            "synnq/assignments": ",".join(sorted(v.assignment_id for v in candidates)),
        },
    )
    return dg.SensorResult(run_requests=requests)


@dg.sensor(target=["release"], minimum_interval_seconds=INTERVAL_SECONDS, default_status=RUNNING)
def release_round(
    context: dg.SensorEvaluationContext, home: HomeResource
) -> dg.SensorResult | dg.SkipReason:
    """Release a promoted checkpoint every so many rounds, and the campaign's last one."""
    opened = home.open()
    campaign, recipe = opened.campaign, opened.settings.recipe
    promoted = campaign.find_promoted()
    if promoted is None or promoted.round == INITIAL_ROUND:
        return dg.SkipReason("nothing was promoted yet")
    last_round = build_round_key(recipe.rounds.num_rounds)
    is_over = campaign.find_evaluation(last_round) is not None
    is_due = parse_round_key(promoted.round) % recipe.release.every_rounds == 0 or is_over
    if not is_due or campaign.find_release(promoted.round):
        return dg.SkipReason(f"{promoted.round} is released, or not due")
    requests = request_step(
        context,
        opened,
        f"release:{promoted.round}",
        assets=["release"],
        partition_key=promoted.round,
    )
    return dg.SensorResult(run_requests=requests)
