"""Releases: a model folder that verifies offline."""

import dagster as dg

from synnq_assets.defs.evaluation import assess, list_evaluations
from synnq_assets.defs.partitions import rounds
from synnq_assets.defs.recording import build_result, recorded, render_table
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.shards import TOKENIZER, planned_corpora
from synnq_assets.defs.trust import compare_with_events
from synnq_assets.errors import ReleaseError, SignatureError
from synnq_assets.evaluation import list_cells, plot_perplexity, plot_rounds
from synnq_assets.records.identifiers import parse_assignment_id
from synnq_assets.records.rounds import CheckpointRecord, EvaluationRecord
from synnq_assets.records.submissions import Submission
from synnq_assets.release import ReleaseInputs, ReportedEnergy, build_release, verify_release
from synnq_assets.trust import Home, open_envelope
from synnq_assets.trust.audit.receipts import Evidence

GROUP = "release"


def gather_inputs(opened: Home, round_key: str) -> ReleaseInputs:
    """Collect everything that a release is made from.

    Raises:
        ReleaseError: the round's checkpoint was not promoted.
    """
    campaign = opened.campaign
    evaluation = campaign.find_evaluation(round_key)
    if evaluation is None or evaluation.decision != "promoted":
        raise ReleaseError(f"{round_key} was not promoted; only a promoted checkpoint is released")
    chain = campaign.get_chain(round_key)
    links = {record.round for record in chain}
    evaluations = tuple(e for e in list_evaluations(opened) if e.round in links)
    trained = {
        shard.shard_id
        for record in chain
        for item in record.contributions
        for shard in campaign.get_order(item.assignment_id).shards
    }
    compliance = assess(opened, evaluation)
    weights = f"checkpoints/{chain[-1].checkpoint.checkpoint_sha256}/model.safetensors"
    return ReleaseInputs(
        recipe=opened.settings.recipe,
        settings_sha256=opened.settings.digest,
        record=chain[-1],
        chain=tuple(chain),
        evaluations=evaluations,
        weights=opened.store.local_path(weights),
        tokenizer=opened.store.local_path(TOKENIZER),
        manifests=tuple(m for m in campaign.list_manifests() if m.shard_id in trained),
        curation=tuple(report for _, report in planned_corpora(opened)),
        compliance_markdown=compliance.markdown,
        compliance=compliance.to_json_value(),
        promotion=find_promotion(opened, evaluation),
        grants=tuple(
            opened.store.get_bytes(key) for key in opened.store.iter_keys("registry/grants")
        ),
        root_public_key=opened.coordinator.public_key,
        plots={
            "perplexity.png": plot_perplexity(evaluation.figures, list_cells(evaluation.figures)),
            "rounds.png": plot_rounds(evaluations),
        },
        energy=sum_energy(opened, chain),
    )


def find_promotion(opened: Home, evaluation: EvaluationRecord) -> Evidence:
    """Return the evidence that an evaluation's result stands in the audit log.

    Raises:
        ReleaseError: it does not; materialise evaluation_report for the round again.
    """
    wanted = ("result", "evaluation_report", evaluation.round, evaluation.digest())
    found = [
        position
        for position, entry in opened.audit.iter_entries()
        if (entry.phase, entry.action, entry.subject, entry.details.get("sha256")) == wanted
    ]
    if not found:
        raise ReleaseError(f"the promotion of {evaluation.round} is not in the audit log")
    return opened.audit.evidence(found[0])


def verify_both_logs(opened: Home, instance: dg.DagsterInstance) -> None:
    """Refuse a release while the audit log and Dagster's events tell different stories.

    Raises:
        ReleaseError: they do; the check `agrees_with_dagster` lists every difference.
    """
    opened.audit.verify(opened.log_verifier)
    if problems := compare_with_events(opened, instance):
        raise ReleaseError(
            f"nothing is released while the audit log and Dagster disagree ({len(problems)} "
            f"differences, the first: {problems[0]}); see the check agrees_with_dagster"
        )


def sum_energy(opened: Home, chain: list[CheckpointRecord]) -> ReportedEnergy:
    """Return what the nodes of a chain's contributions reported, and how many of them did."""
    contributions = [item for record in chain for item in record.contributions]
    reported = [read_joules(opened, item.assignment_id) for item in contributions]
    known = [joules for joules in reported if joules is not None]
    return ReportedEnergy(
        joules=sum(known), num_reporting=len(known), num_contributions=len(contributions)
    )


def read_joules(opened: Home, assignment_id: str) -> float | None:
    """Return the energy in a submission, or None where its node has no counter.

    Its signature counts as it did when it was judged, whatever became of the node since.
    """
    round_key, _, _ = parse_assignment_id(assignment_id)
    data = opened.store.get_bytes(f"rounds/{round_key}/submissions/{assignment_id}/submission.json")
    verdict = opened.campaign.find_verdict(assignment_id)
    at = None if verdict is None else verdict.audit_index
    try:
        answer = open_envelope(data, Submission, opened.keyring, roles=("node",), at=at)
    except SignatureError:  # not what was accepted
        return None
    return answer.metrics.energy_joules


@dg.asset(partitions_def=rounds, deps=["compliance_report"], group_name=GROUP, code_version="1")
def release(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """A Hugging Face folder with card, papers and signed provenance; verified before it counts."""
    opened = home.open()
    round_key = context.partition_key
    folder = opened.path / "releases" / f"{opened.settings.recipe.release.model_name}-{round_key}"
    with recorded(context, opened, "release", round_key) as deed:
        verify_both_logs(opened, context.instance)
        build_release(gather_inputs(opened, round_key), opened.release_key, folder)
        verified = verify_release(folder, opened.coordinator.public_key)
        opened.ledger.put(f"rounds/{round_key}/release.json", verified.record, opened.release_key)
        sha256 = verified.record.digest()
        deed.details.update(sha256=sha256, checkpoint=verified.record.checkpoint_sha256)
    return build_result(
        deed,
        sha256=sha256,
        metadata={
            "dagster/uri": str(folder),
            "model card": dg.MetadataValue.md((folder / "README.md").read_text(encoding="utf-8")),
            "checks": render_table(("check", "detail"), verified.checks),
            "verify": f"synnq verify-release {folder}",
            "serve": f"synnq serve {folder}",
        },
    )
