"""What Dagster loads: a table of contents. Importing this imports no torch."""

import dagster as dg

from synnq_assets.defs import (
    aggregation,
    compute,
    corpora,
    destruction,
    evaluation,
    federation,
    jobs,
    operations,
    release,
    schedules,
    sensors,
    shards,
    submissions,
    trust,
)
from synnq_assets.defs.resources import HomeResource

defs = dg.Definitions(
    assets=[
        corpora.curated_corpus,
        shards.tokenizer,
        shards.shard_plan,
        shards.signed_shards,
        federation.node_profiles,
        federation.round_base,
        federation.shard_allocation,
        compute.training_job,
        compute.local_checkpoint,
        operations.shard_reassignment,
        submissions.verified_submission,
        aggregation.global_checkpoint,
        evaluation.evaluation_report,
        evaluation.compliance_report,
        release.release,
        trust.audit_log,
    ],
    asset_checks=[
        corpora.expectations,
        federation.chain_continuous,
        destruction.destruction_due,
        evaluation.not_worse_than_parent,
        trust.agrees_with_dagster,
    ],
    sensors=sensors.SENSORS,
    schedules=[schedules.nightly_corpus, schedules.weekly_evaluation, schedules.daily_audit],
    jobs=[*jobs.JOBS, operations.cancel_training_job, operations.refresh_registry],
    resources={"home": HomeResource(path=dg.EnvVar("SYNNQ_HOME"))},
    # One process a run: runs are short, and a process per step would double their length.
    executor=dg.in_process_executor,
)
