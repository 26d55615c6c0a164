"""Rounds: opened, closed, released."""

from datetime import datetime, timedelta

import dagster as dg

from synnq_assets.defs import jobs
from synnq_assets.defs.federation import list_unissued
from synnq_assets.defs.recording import log_skipped
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.sensors.steps import INTERVAL_SECONDS, RUNNING, add_partitions, request_step
from synnq_assets.defs.shards import is_sealed, planned_cells
from synnq_assets.federation import QuorumDecision, decide_quorum
from synnq_assets.records.base import now_at
from synnq_assets.records.identifiers import build_round_key, parse_round_key
from synnq_assets.records.submissions import Verdict
from synnq_assets.trust import Home
from synnq_assets.trust.campaign import INITIAL_ROUND
from synnq_assets.trust.ledger import Skip, skipping


def is_allocated(opened: Home, round_key: str) -> bool:
    """Return whether a round's allocation stands, and every order that follows from it."""
    allocation = opened.campaign.find_allocation(round_key)
    return allocation is not None and not list_unissued(opened, allocation.assignments)


@dg.sensor(
    job=jobs.open_next,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=RUNNING,
)
def open_round(
    context: dg.SensorEvaluationContext, home: HomeResource
) -> dg.SensorResult | dg.SkipReason:
    """Open the next round once the last checkpoint was judged and all shards are sealed.

    A round whose opening was cut short is opened again, which completes it.
    """
    opened = home.open()
    campaign = opened.campaign
    opened_rounds = campaign.list_rounds()
    last = opened_rounds[-1] if opened_rounds else INITIAL_ROUND
    if campaign.find_evaluation(last) is None:
        if not opened_rounds or is_allocated(opened, last):
            return dg.SkipReason(f"{last} is not judged yet")
        key = last
    else:
        number = parse_round_key(last) + 1
        if number > opened.settings.recipe.rounds.num_rounds:
            return dg.SkipReason("the campaign's last round is done")
        key = build_round_key(number)
    planned = planned_cells(opened)
    if not planned or not all(is_sealed(opened, cell) for cell in planned):
        return dg.SkipReason("shards are not all sealed yet")
    step, job = f"open:{key}", jobs.open_next.name
    return dg.SensorResult(
        run_requests=request_step(context, opened, step, job=job, partition_key=key),
        dynamic_partitions_requests=add_partitions(context, opened, next_round=key),
    )


def find_open_round(opened: Home, skip: Skip) -> str | None:
    """Return the oldest round that was allocated and is not judged."""
    campaign = opened.campaign
    for key in campaign.list_rounds():
        with skipping(skip, key):
            if campaign.find_evaluation(key) is None and campaign.find_allocation(key):
                return key
    return None


def weigh_round(
    opened: Home, round_key: str, skip: Skip
) -> tuple[QuorumDecision, list[Verdict], datetime]:
    """Return whether a round may be aggregated, from which verdicts, and when it has to be.

    An order that a record promises and a crash held back counts as one that may still be answered.
    """
    campaign = opened.campaign
    base = campaign.find_base(round_key)
    assert base is not None  # list_rounds lists rounds by their base
    candidates = campaign.select_candidates(
        round_key,
        max_staleness_rounds=opened.settings.recipe.rounds.max_staleness_rounds,
        skip=skip,
    )
    unissued = list_unissued(opened, campaign.list_promises(round_key, skip=skip))
    decision = decide_quorum(
        base,
        num_accepted=sum(verdict.round == round_key for verdict in candidates),
        num_open=sum(1 for _ in campaign.iter_open_orders(round_key, skip=skip)) + len(unissued),
        now=now_at(),
    )
    return decision, candidates, base.deadline_at


@dg.sensor(
    job=jobs.aggregate,
    minimum_interval_seconds=INTERVAL_SECONDS,
    default_status=RUNNING,
)
def aggregate_round(
    context: dg.SensorEvaluationContext, home: HomeResource
) -> dg.SensorResult | dg.SkipReason:
    """Close a round by quorum, completeness or deadline; the tags freeze its participants."""
    opened = home.open()
    skip = log_skipped(context)
    key = find_open_round(opened, skip)
    if key is None:
        return dg.SkipReason("no round is open")
    decision, candidates, deadline_at = weigh_round(opened, key, skip)
    if opened.campaign.find_checkpoint(key) is None:
        if not decision.is_ready:
            log = context.log.error if decision.trigger == "short" else context.log.info
            log(f"{key}: {decision.message}")
            return dg.SkipReason(f"{key}: {decision.message}")
        grace = timedelta(seconds=opened.settings.recipe.rounds.grace_seconds)
        now = now_at()
        newest_at = max(verdict.decided_at for verdict in candidates if verdict.round == key)
        waited = now - newest_at  # negative where the clock was set back: then there is no waiting
        is_waiting = timedelta() <= waited < grace < deadline_at - now
        if decision.trigger == "quorum" and is_waiting:
            return dg.SkipReason(f"{key}: {decision.message}; waiting out the grace period")
    requests = request_step(
        context,
        opened,
        f"aggregate:{key}",
        job=jobs.aggregate.name,
        partition_key=key,
        tags={
            "synnq/trigger": decision.trigger,
            "synnq/assignments": ",".join(sorted(v.assignment_id for v in candidates)),
        },
    )
    return dg.SensorResult(
        run_requests=requests, dynamic_partitions_requests=add_partitions(context, opened)
    )


@dg.sensor(job=jobs.publish, minimum_interval_seconds=INTERVAL_SECONDS, default_status=RUNNING)
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
        job=jobs.publish.name,
        partition_key=promoted.round,
    )
    return dg.SensorResult(
        run_requests=requests, dynamic_partitions_requests=add_partitions(context, opened)
    )
