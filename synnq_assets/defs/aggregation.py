"""Global checkpoints: the initial one, and one per round from its accepted submissions."""

import shutil
from pathlib import Path
from typing import Any

import dagster as dg

from synnq_assets.aggregation import (
    AggregationResult,
    Candidate,
    PinnedFile,
    aggregate_round,
    describe_tolerance,
)
from synnq_assets.defs.partitions import BY_ROUND, rounds
from synnq_assets.defs.recording import build_result, read_tag, recorded, render_table
from synnq_assets.defs.resources import HomeResource
from synnq_assets.errors import AggregationError
from synnq_assets.federation import Registry
from synnq_assets.records.base import now_at
from synnq_assets.records.identifiers import parse_round_key
from synnq_assets.records.orders import CheckpointRef, FileDigest, digest_files
from synnq_assets.records.rounds import CheckpointRecord
from synnq_assets.records.submissions import Verdict
from synnq_assets.settings.recipe import AggregationSettings
from synnq_assets.storage.files import describe_file
from synnq_assets.trust import Home
from synnq_assets.trust.campaign import INITIAL_ROUND

GROUP = "aggregation"
MODEL, OUTER = "model.safetensors", "outer.safetensors"


def store_checkpoint(opened: Home, folder: Path) -> tuple[CheckpointRef, tuple[FileDigest, ...]]:
    """Move a freshly built checkpoint into the store; return its reference and outer files."""
    model = (describe_file(folder / MODEL),)
    outer = (describe_file(folder / OUTER),) if (folder / OUTER).exists() else ()
    reference = CheckpointRef(round=folder.name, checkpoint_sha256=digest_files(model), files=model)
    for file in (*model, *outer):
        key = f"checkpoints/{reference.checkpoint_sha256}/{file.name}"
        opened.store.put_file(key, folder / file.name)
    return reference, outer


def build_initial(opened: Home, folder: Path) -> CheckpointRecord:
    """Return the record of the randomly initialised model; the recipe's seed owns it."""
    from synnq_assets.modeling.models import build_model, named_weights, write_weights

    recipe = opened.settings.recipe
    model = build_model(recipe, seed=recipe.training.seed)
    write_weights(folder / MODEL, named_weights(model), metadata={"format": "pt"})
    reference, _ = store_checkpoint(opened, folder)
    return CheckpointRecord(
        federation=recipe.federation,
        round=INITIAL_ROUND,
        parent_round=None,
        parent_checkpoint_sha256=None,
        checkpoint=reference,
        outer_files=(),
        contributions=(),
        rule="initial",
        outer_optimizer="none",
        settings_sha256=opened.settings.digest,
        tokens_total=0,
        update_norm=0.0,
        created_at=now_at(),
    )


def build_candidate(opened: Home, verdict: Verdict, round_key: str) -> Candidate:
    """Return what aggregation needs to know about one accepted submission.

    Its age counts from its order's deadline, and its node's cap is that of the verdict's position
    in the audit log, so that a replay finds the same weights.

    Raises:
        AggregationError: its verdict says nothing of an update.
    """
    if verdict.update_sha256 is None:
        raise AggregationError(
            f"the verdict on {verdict.assignment_id} gives no digest of an update"
        )
    node = Registry(opened.ledger).get(verdict.node_id, at=verdict.audit_index)
    deadline_at = opened.campaign.get_order(verdict.assignment_id).deadline_at
    folder = f"rounds/{verdict.round}/submissions/{verdict.assignment_id}"
    return Candidate(
        node_id=verdict.node_id,
        assignment_id=verdict.assignment_id,
        submission_sha256=verdict.submission_sha256,
        update=PinnedFile(
            opened.store.local_path(f"{folder}/update.safetensors"), verdict.update_sha256
        ),
        num_tokens=verdict.num_tokens,
        cell_tokens=verdict.cell_tokens,
        score=verdict.score,
        staleness_rounds=parse_round_key(round_key) - parse_round_key(verdict.round),
        age_seconds=max(0.0, (verdict.decided_at - deadline_at).total_seconds()),
        organisation=node.organisation,
        weight_cap=node.weight_cap,
    )


def select_verdicts(opened: Home, round_key: str, frozen: str | None) -> list[Verdict]:
    """Return the submissions that go into a round: those that the sensor froze, or all unused."""
    verdicts = opened.campaign.select_candidates(
        round_key, max_staleness_rounds=opened.settings.recipe.rounds.max_staleness_rounds
    )
    if frozen is None:
        return verdicts
    wanted = set(frozen.split(","))
    chosen = [verdict for verdict in verdicts if verdict.assignment_id in wanted]
    if missing := wanted - {verdict.assignment_id for verdict in chosen}:
        raise AggregationError(f"submissions to aggregate are gone: {', '.join(sorted(missing))}")
    return chosen


def pin_files(opened: Home, parent: CheckpointRecord) -> dict[str, PinnedFile]:
    """Return a checkpoint's files by name, each with the digest in its signed record."""
    folder = f"checkpoints/{parent.checkpoint.checkpoint_sha256}"
    return {
        file.name: PinnedFile(opened.store.local_path(f"{folder}/{file.name}"), file.sha256)
        for file in (*parent.checkpoint.files, *parent.outer_files)
    }


def aggregate(
    opened: Home, round_key: str, folder: Path, frozen: str | None
) -> tuple[CheckpointRecord, AggregationResult]:
    """Aggregate a round into `folder`, store it, and return its record."""
    recipe = opened.settings.recipe
    base = opened.campaign.find_base(round_key)
    parent = opened.campaign.find_checkpoint(base.parent_round) if base else None
    if base is None or parent is None:
        raise AggregationError(f"round {round_key} was not opened; run round_base")
    files = pin_files(opened, parent)
    verdicts = select_verdicts(opened, round_key, frozen)
    result = aggregate_round(
        base=files[MODEL],
        outer_state=files.get(OUTER),
        candidates=[build_candidate(opened, v, round_key) for v in verdicts],
        settings=recipe.aggregation,
        out_dir=folder,
    )
    reference, outer = store_checkpoint(opened, folder)
    record = CheckpointRecord(
        federation=recipe.federation,
        round=round_key,
        parent_round=parent.round,
        parent_checkpoint_sha256=parent.checkpoint.checkpoint_sha256,
        checkpoint=reference,
        outer_files=outer,
        contributions=result.contributions,
        rule=result.rule,
        outer_optimizer=result.outer,
        settings_sha256=opened.settings.digest,
        tokens_total=parent.tokens_total
        + sum(verdict.num_tokens for verdict in verdicts) * recipe.training.epochs,
        update_norm=result.update_norm,
        created_at=now_at(),
    )
    return record, result


@dg.asset(
    partitions_def=rounds,
    deps=[dg.AssetDep("verified_submission", partition_mapping=BY_ROUND), "round_base"],
    group_name=GROUP,
    pool="aggregate",
    code_version="1",
)
def global_checkpoint(
    context: dg.AssetExecutionContext, home: HomeResource
) -> dg.MaterializeResult:
    """The federation's model after a round, by weights that are written down one by one."""
    opened = home.open()
    round_key = context.partition_key
    result: AggregationResult | None = None
    with recorded(context, opened, "global_checkpoint", round_key) as deed:
        record = opened.campaign.find_checkpoint(round_key)
        if record is None:
            folder = opened.store.reserve(f"checkpoints/{round_key}/{MODEL}").parent
            shutil.rmtree(folder, ignore_errors=True)
            if round_key == INITIAL_ROUND:
                record = build_initial(opened, folder)
            else:
                record, result = aggregate(
                    opened, round_key, folder, read_tag(context, "assignments")
                )
            opened.campaign.put_checkpoint(record, opened.coordinator)
        deed.details.update(
            sha256=record.checkpoint.checkpoint_sha256,
            parent=record.parent_checkpoint_sha256 or "",
            submissions=[item.submission_sha256 for item in record.contributions],
        )
    return build_result(
        deed,
        sha256=record.checkpoint.checkpoint_sha256,
        metadata={
            **describe_checkpoint(record, opened.settings.recipe.aggregation),
            **(describe_result(result) if result else {}),
        },
    )


def describe_checkpoint(record: CheckpointRecord, settings: AggregationSettings) -> dict[str, Any]:
    """Return a checkpoint's metadata for the web page.

    A weight is the product of tokens, decay, domain and score, over the round's sum of products;
    what an organisation has above its cap goes to the others.
    """
    columns = (
        *("assignment", "weight", "tokens", "decay", "domain", "score"),
        *("norm", "clipped", "cosine", "late by"),
    )
    rows = [
        (
            *(c.assignment_id, c.weight, c.tokens_factor, c.decay_factor, c.domain_factor),
            *(c.score_factor, c.update_norm, c.clipped_share, c.cosine_to_mean),
            c.staleness_rounds,
        )
        for c in record.contributions
    ]
    return {
        "checkpoint": record.checkpoint.checkpoint_sha256,
        "parent": record.parent_checkpoint_sha256 or "none: random initialisation",
        "parent round": record.parent_round or "-",
        "rule": record.rule,
        "tolerates": describe_tolerance(settings.rule, record.contributions),
        "outer optimizer": record.outer_optimizer,
        "trained tokens": record.tokens_total,
        "update norm": record.update_norm,
        "contributions": render_table(columns, rows),
    }


def describe_result(result: AggregationResult) -> dict[str, Any]:
    """Return an aggregation's own figures for the web page."""
    rows = [
        (name, *(f"{value:.3f}" for value in row))
        for name, row in zip(result.node_order, result.cosines, strict=True)
    ]
    return {
        "cosines": render_table(("", *result.node_order), rows),
        "seconds": result.seconds,
        "peak memory (bytes)": result.peak_memory_bytes,
        "parameters per second": result.elements_per_second,
    }
