"""Jobs: which assets are materialised together, in one short run, for one partition."""

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition as AssetJob,
    )


def _job(name: str, *assets: str) -> "AssetJob":
    selection = dg.AssetSelection.assets(*assets)
    return dg.define_asset_job(name, selection=selection)


curate = _job("curate", "curated_corpus")
plan = _job("plan", "tokenizer", "shard_plan", "node_profiles")
seal = _job("seal", "signed_shards")
initialise = _job("initialise", "global_checkpoint", "evaluation_report")
open_next = _job("open_next", "round_base", "shard_allocation")
submit = _job("submit", "training_job")
collect = _job("collect", "local_checkpoint", "verified_submission")
reassign = _job("reassign", "shard_reassignment")
aggregate = _job("aggregate", "global_checkpoint", "evaluation_report", "compliance_report")
publish = _job("publish", "release")

PREPARATION = [curate, plan, seal, initialise]
JOBS = [*PREPARATION, open_next, submit, collect, reassign, aggregate, publish]
