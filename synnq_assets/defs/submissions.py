"""The gate: a submission materialises here only when every intake check passed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from synnq_assets.defs.assignments import find_assignment
from synnq_assets.defs.partitions import round_site
from synnq_assets.defs.recording import AUDIT_INDEX, build_result, read_tag, recorded, render_table
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.shards import PROBE
from synnq_assets.errors import SubmissionError
from synnq_assets.federation import Registry
from synnq_assets.records.base import now_at
from synnq_assets.records.orders import Order
from synnq_assets.records.submissions import Verdict
from synnq_assets.storage.files import describe_file, hold_lock
from synnq_assets.submissions import (
    ARRIVAL_FILE,
    Intake,
    judge_submission,
    promote_submission,
    quarantine_key,
    receive_submission,
)
from synnq_assets.trust import Home

GROUP = "submissions"


@dataclass(frozen=True)
class Received:
    """A submission in quarantine."""

    folder: Path
    sha256: str  # of the list of what arrived
    sizes: list[tuple[str, int]]


def store_submission(opened: Home, source: Path, order: Order) -> Received:
    """Copy a node's submission into quarantine, whole or not at all."""
    folder = receive_submission(
        source,
        opened.store,
        order.round,
        order.assignment_id,
        max_update_bytes=opened.settings.recipe.intake.max_update_bytes,
    )
    return Received(
        folder=folder,
        sha256=describe_file(folder / ARRIVAL_FILE).sha256,
        sizes=[(path.name, path.stat().st_size) for path in sorted(folder.iterdir())],
    )


def list_known_digests(opened: Home, assignment_id: str) -> dict[str, str]:
    """Return digest -> assignment for what other assignments brought that were judged before."""
    verdicts = [
        verdict
        for round_key in opened.campaign.list_rounds()
        for verdict in opened.campaign.list_verdicts(round_key)
        if verdict.assignment_id != assignment_id
    ]
    known: dict[str, str] = {}
    for verdict in sorted(verdicts, key=lambda verdict: verdict.decided_at):
        for sha256 in (verdict.submission_sha256, verdict.update_sha256):
            if sha256 is not None:
                known.setdefault(sha256, verdict.assignment_id)  # who brought it first
    return known


def find_probe(opened: Home) -> Path | None:
    """Return where the probe lies, or None where the recipe asks for none.

    Raises:
        SubmissionError: the recipe asks for a probe, and none was made.
    """
    if not opened.settings.recipe.intake.probe:
        return None
    if not opened.store.has(PROBE):
        raise SubmissionError(
            f"intake.probe is on, but the store holds no {PROBE}; materialise shard_plan, which "
            "makes it"
        )
    return opened.store.local_path(PROBE)


def judge(opened: Home, order: Order, *, at: int | None = None) -> Verdict:
    """Return the verdict on an order's quarantined submission; judged once, then remembered.

    The node's key has to count at position `at` of the audit log, that of the intent to judge;
    without one, at the log's end.

    One at a time: what is judged next must know what was accepted before, or of two copies both
    would pass.
    """
    with hold_lock(opened.path / "intake.lock"):
        held = opened.campaign.find_verdict(order.assignment_id)
        if held is not None:
            return held
        position = opened.audit.size() if at is None else at
        verdict = judge_submission(build_intake(opened, order, at=position))
        if verdict.decision == "accepted":
            promote_submission(opened.store, order.round, order.assignment_id)
        opened.campaign.put_verdict(verdict, opened.coordinator)
    return verdict


def build_intake(opened: Home, order: Order, *, at: int) -> Intake:
    """Return what the judgement of an order's submission starts from."""
    arrival = f"{quarantine_key(order.round, order.assignment_id)}/{ARRIVAL_FILE}"
    base = f"checkpoints/{order.base.checkpoint_sha256}/model.safetensors"
    recipe = opened.settings.recipe
    return Intake(
        folder=opened.store.local_path(arrival).parent,
        order=order,
        node=Registry(opened.ledger).load().get(order.node_id),
        keyring=opened.ledger.keyring,
        base_model=opened.store.local_path(base),
        settings=recipe.intake,
        recipe=recipe,
        known_digests=list_known_digests(opened, order.assignment_id),
        probe=find_probe(opened),
        received_at=now_at(),
        audit_index=at,
    )


@dg.asset(
    partitions_def=round_site,
    deps=["local_checkpoint"],
    group_name=GROUP,
    output_required=False,
    check_specs=[dg.AssetCheckSpec("accepted", asset="verified_submission")],
    code_version="1",
)
def verified_submission(
    context: dg.AssetExecutionContext, home: HomeResource
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """A submission that passed every check. A refused one stays in quarantine, with its verdict."""
    opened = home.open()
    order = find_assignment(opened, context.partition_key, read_tag(context, "assignment"))
    with recorded(context, opened, "verified_submission", order.assignment_id) as deed:
        verdict = judge(opened, order, at=deed.intent)
        deed.details.update(
            sha256=verdict.submission_sha256,
            decision=verdict.decision,
            failed=[check.name for check in verdict.checks if not check.passed],
        )
    metadata: dict[str, Any] = {
        "assignment": order.assignment_id,
        "decision": verdict.decision,
        "score": verdict.score,
        "tokens": verdict.num_tokens,
        "why refused": "; ".join(verdict.reasons) or "-",
        "checks": render_table(
            ("check", "passed", "reason", "figures"),
            [(c.name, c.passed, c.reason, c.figures) for c in verdict.checks],
        ),
    }
    check = dg.AssetCheckResult(
        passed=verdict.decision == "accepted", check_name="accepted", metadata=metadata
    )
    if verdict.decision == "accepted":
        sha256 = verdict.submission_sha256
        yield build_result(deed, sha256=sha256, metadata=metadata, check_results=[check])
        return
    context.log_event(
        dg.AssetObservation(
            "verified_submission",
            partition=context.partition_key,
            metadata={**metadata, AUDIT_INDEX: deed.position},
        )
    )
    yield check
