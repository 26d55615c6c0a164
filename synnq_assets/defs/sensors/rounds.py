"""Rounds: opened, closed, released."""

from datetime import timedelta

import dagster as dg

from synnq_assets.defs import jobs
from synnq_assets.defs.partitions import rounds, sites
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.sensors.steps import INTERVAL_SECONDS, RUNNING, find_missing, request_step
from synnq_assets.defs.shards import is_sealed
from synnq_assets.federation import Registry, decide_quorum
from synnq_assets.records.base import now_at
from synnq_assets.records.identifiers import build_round_key, parse_round_key
from synnq_assets.trust.campaign import INITIAL_ROUND


@dg.sensor(
    job=jobs.open_next,
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
    if not known or not all(is_sealed(opened, cell) for cell in known):
        return dg.SkipReason("shards are not all sealed yet")
    nodes = [node.node_id for node in Registry(opened.ledger).list_nodes()]
    additions = []
    if missing := find_missing(context, "round", [key]):
        additions.append(rounds.build_add_request(missing))
    if missing := find_missing(context, "site", nodes):
        additions.append(sites.build_add_request(missing))
    step, job = f"open:{key}", jobs.open_next.name
    requests = request_step(context, opened, step, job=job, partition_key=key)
    return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=additions)


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
        job=jobs.aggregate.name,
        partition_key=key,
        tags={
            "synnq/trigger": decision.trigger,
            "synnq/assignments": ",".join(sorted(v.assignment_id for v in candidates)),
        },
    )
    return dg.SensorResult(run_requests=requests)


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
    return dg.SensorResult(run_requests=requests)
