"""Training jobs: submitted by a short run, polled by a sensor, collected by another short run."""

import json

import dagster as dg

from synnq_assets.compute import StagedInputs, build_backend, read_progress, stage_job
from synnq_assets.defs.assignments import find_assignment
from synnq_assets.defs.partitions import BY_ROUND, round_site
from synnq_assets.defs.recording import build_result, read_tag, recorded, render_table
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.sealed import locate_sealed
from synnq_assets.defs.submissions import store_submission
from synnq_assets.errors import OrderError
from synnq_assets.records.base import canonical_json
from synnq_assets.records.jobs import JobHandle, JobSpec
from synnq_assets.records.orders import Order
from synnq_assets.settings import load_node_settings
from synnq_assets.trust import Home
from synnq_assets.trust.campaign import assignment_key
from synnq_assets.trust.registry.publishing import render_registry

GROUP = "compute"


def build_job(opened: Home, order: Order) -> JobSpec:
    """Stage an order's job folder, and return how to run it on this profile."""
    job_dir = opened.path / "jobs" / order.assignment_id
    node_file = opened.path / opened.settings.profile.paths.work / order.node_id / "node.yaml"
    node = load_node_settings(node_file)
    store = opened.store
    checkpoint = f"checkpoints/{order.base.checkpoint_sha256}"
    stage_job(
        job_dir,
        StagedInputs(
            order=store.get_bytes(assignment_key(order.assignment_id, "orders")),
            recipe=canonical_json(opened.settings.recipe.model_dump(mode="json")),
            registry_files=render_registry(opened, with_targets=False),
            checkpoint_files={
                file.name: store.local_path(f"{checkpoint}/{file.name}")
                for file in order.base.files
            },
            shard_files=locate_sealed(opened, order),
        ),
    )
    return JobSpec(
        assignment_id=order.assignment_id,
        node_id=order.node_id,
        argv=(*node.command, "order.json", "--node", str(node_file)),
        environment={"OMP_NUM_THREADS": str(node.threads), "HF_HUB_OFFLINE": "1"},
        job_dir=str(job_dir),
        walltime_seconds=opened.settings.recipe.allocation.max_job_seconds,
    )


@dg.asset(
    partitions_def=round_site,
    deps=[dg.AssetDep("shard_allocation", partition_mapping=BY_ROUND)],
    group_name=GROUP,
    pool="submit",
    code_version="1",
)
def training_job(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """A job at a node's scheduler. The run submits and ends; nothing waits in a queue."""
    opened = home.open()
    order = find_assignment(opened, context.partition_key, read_tag(context, "assignment"))
    backend = build_backend(opened.settings.profile)
    with recorded(context, opened, "training_job", order.assignment_id) as deed:
        handle = opened.campaign.find_handle(order.assignment_id)
        if handle is None:
            handle = backend.submit(build_job(opened, order))
            opened.campaign.put_handle(handle, opened.coordinator)
        deed.details.update(sha256=order.digest(), job_id=handle.job_id)
    rows = [(s.shard_id[:12], s.cell, s.num_tokens) for s in order.shards]
    return build_result(
        deed,
        sha256=order.digest(),
        metadata={
            "assignment": order.assignment_id,
            "job": handle.job_id,
            "backend": handle.backend,
            "job folder": handle.job_dir,
            "shards": render_table(("shard", "cell", "tokens"), rows),
        },
    )


@dg.asset(partitions_def=round_site, deps=["training_job"], group_name=GROUP, code_version="1")
def local_checkpoint(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """A node's answer as received, in quarantine: the weight update, the logs, the metrics."""
    opened = home.open()
    order = find_assignment(opened, context.partition_key, read_tag(context, "assignment"))
    handle = opened.campaign.find_handle(order.assignment_id)
    if handle is None:
        raise OrderError(f"{order.assignment_id} was never submitted; run training_job first")
    with recorded(context, opened, "local_checkpoint", order.assignment_id) as deed:
        source = build_backend(opened.settings.profile).fetch(handle)
        received = store_submission(opened, source, order)
        deed.details.update(sha256=received.sha256, files=[name for name, _ in received.sizes])
    return build_result(
        deed,
        sha256=received.sha256,
        metadata={
            "assignment": order.assignment_id,
            "dagster/uri": str(received.folder),
            "files": render_table(("file", "bytes"), received.sizes),
            "job": dg.MetadataValue.json(describe_job(handle)),
        },
    )


def describe_job(handle: JobHandle) -> dict[str, object]:
    """Return a job's last progress report as plain JSON."""
    from pathlib import Path

    progress = read_progress(Path(handle.job_dir))
    return json.loads(progress.canonical_bytes()) if progress else {}
