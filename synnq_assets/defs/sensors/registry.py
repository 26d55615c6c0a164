"""The published registry is renewed before it expires."""

import dagster as dg

from synnq_assets.defs.operations import refresh_registry as refresh_job
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.sensors.steps import INTERVAL_SECONDS, RUNNING, request_step
from synnq_assets.records.base import now_at
from synnq_assets.trust.registry.publishing import find_due_version


@dg.sensor(job=refresh_job, minimum_interval_seconds=INTERVAL_SECONDS, default_status=RUNNING)
def refresh_registry(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult:
    """Publish when fewer than twelve hours are left, or what was published is not what is so.

    A refresh that fails is asked for again as any step, and anew each day.
    """
    opened = home.open()
    requests = []
    version = find_due_version(opened)
    if version is not None:
        step = f"registry:{version}:{now_at():%Y-%m-%d}"
        requests = request_step(context, opened, step, job=refresh_job.name)
    return dg.SensorResult(run_requests=requests)
