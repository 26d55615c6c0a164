"""What the demo promises, each checked against the signed records when it ends."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from synnq_assets.cli.demo.setup import HOSTILE_NODE, HOSTILE_ROUND, KILL_ROUND, KILLED_NODE
from synnq_assets.errors import SynnqError
from synnq_assets.records.identifiers import build_round_key
from synnq_assets.records.submissions import Verdict
from synnq_assets.release import verify_release
from synnq_assets.trust import Home
from synnq_assets.trust.campaign import Campaign

# What can tell a turned, enlarged update from an honest one. A refusal for anything else, such as a
# signature, would mean that the demo is broken and not that the node was found out.
TELLING_CHECKS = frozenset({"step_bound", "probe"})


@dataclass(frozen=True)
class Promise:
    """One promise: kept or not, and what was seen."""

    name: str
    is_kept: bool
    seen: str


def check_promises(home: Home) -> list[Promise]:
    """Return every promise with what was seen."""
    return [
        *_check_learning(home),
        *_check_killed(home),
        *_check_hostile(home),
        *_check_release(home),
        *_check_audit(home),
    ]


def _check_learning(home: Home) -> Iterator[Promise]:
    campaign = home.campaign
    keys = [build_round_key(k) for k in range(home.settings.recipe.rounds.num_rounds + 1)]
    found = [campaign.find_evaluation(key) for key in keys]
    values = [record.headline_perplexity for record in found if record]
    falls = all(later < earlier for earlier, later in itertools.pairwise(values))
    yield Promise(
        "held-out perplexity falls in every round",
        len(values) == len(keys) and falls,
        " > ".join(f"{value:.1f}" for value in values),
    )


def _check_killed(home: Home) -> Iterator[Promise]:
    if home.settings.recipe.rounds.num_rounds < 2:
        return
    assignment_id = f"{KILL_ROUND}.{KILLED_NODE}.1"
    loss = home.campaign.find_loss(assignment_id)
    yield Promise(
        f"{KILL_ROUND}: {KILLED_NODE} is killed, its shards are reassigned",
        loss is not None and _is_answered(home.campaign, assignment_id),
        f"{loss.reason}; taken over by {', '.join(loss.replacements)}" if loss else "not lost",
    )


def _is_answered(campaign: Campaign, assignment_id: str) -> bool:
    """Return whether an assignment was accepted, or was lost and all that replace it were."""
    if loss := campaign.find_loss(assignment_id):
        return bool(loss.replacements) and all(_is_answered(campaign, r) for r in loss.replacements)
    verdict = campaign.find_verdict(assignment_id)
    return verdict is not None and verdict.decision == "accepted"


def _check_hostile(home: Home) -> Iterator[Promise]:
    """Whatever the node sends in that round is turned, also for shards that it took over."""
    if home.settings.recipe.rounds.num_rounds < 3:
        return
    campaign = home.campaign
    verdicts = [v for v in campaign.list_verdicts(HOSTILE_ROUND) if v.node_id == HOSTILE_NODE]
    used = campaign.list_consumed() & {verdict.assignment_id for verdict in verdicts}
    yield Promise(
        f"{HOSTILE_ROUND}: {HOSTILE_NODE} turns its update round and is refused",
        bool(verdicts) and all(_is_found_out(verdict) for verdict in verdicts) and not used,
        "; ".join("; ".join(v.reasons) or v.decision for v in verdicts) or "no verdict",
    )


def _is_found_out(verdict: Verdict) -> bool:
    failed = {check.name for check in verdict.checks if not check.passed}
    return verdict.decision == "refused" and bool(failed) and failed <= TELLING_CHECKS


def _check_release(home: Home) -> Iterator[Promise]:
    folders = sorted((home.path / "releases").glob("*"))
    if not folders:
        yield Promise("the last checkpoint is released", False, "no release")
        return
    try:
        verified = verify_release(folders[-1], home.coordinator.public_key)
    except SynnqError as error:
        yield Promise("the release verifies offline", False, str(error))
        return
    yield Promise("the release verifies offline", True, f"{len(verified.checks)} checks passed")


def _check_audit(home: Home) -> Iterator[Promise]:
    from synnq_assets.cli.runs import list_failures, open_instance
    from synnq_assets.defs.trust import compare_with_events

    try:
        size, root = home.audit.verify(home.log_verifier)
    except SynnqError as error:
        yield Promise("the audit log is consistent", False, str(error))
        return
    yield Promise("the audit log is consistent", True, f"{size} entries, root {root[:16]}…")
    with open_instance(home) as instance:
        problems = compare_with_events(home, instance)
        failures = list_failures(instance)
    yield Promise(
        "it agrees with Dagster's events, both ways",
        not problems,
        "; ".join(problems[:3]) or "no disagreement",
    )
    steps = ", ".join(sorted({failure.step for failure in failures}))
    yield Promise("no run failed", not failures, steps or "all succeeded, or were interrupted")
