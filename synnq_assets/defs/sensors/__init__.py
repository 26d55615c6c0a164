"""What starts what. Every sensor derives its decision from the signed records alone.

No sensor keeps state that matters: a wiped cursor changes nothing. A run is identified by the step
that it does and by how often that step failed, so a step runs once however many ticks ask for it.

    prepare_campaign   sources -> tokenizer and plan -> shards; nodes; the initial checkpoint
    open_round         the last checkpoint was judged -> the next round
    dispatch_orders    an order without a job -> submit it
    monitor_jobs       job ended -> collect; job lost or silent -> reassign
    aggregate_round    quorum, completeness or deadline -> aggregate, evaluate, report
    release_round      promoted, and due -> release
    refresh_registry   fewer than twelve hours left -> publish the registry anew

    steps.py         a step is asked for until it is done, and no longer
    preparation.py   prepare_campaign
    jobs.py          dispatch_orders, monitor_jobs
    rounds.py        open_round, aggregate_round, release_round
    registry.py      refresh_registry
"""

from synnq_assets.defs.sensors.jobs import dispatch_orders, monitor_jobs
from synnq_assets.defs.sensors.preparation import prepare_campaign
from synnq_assets.defs.sensors.registry import refresh_registry
from synnq_assets.defs.sensors.rounds import aggregate_round, open_round, release_round

SENSORS = [
    prepare_campaign,
    open_round,
    dispatch_orders,
    monitor_jobs,
    aggregate_round,
    release_round,
    refresh_registry,
]

__all__ = ["SENSORS"]
