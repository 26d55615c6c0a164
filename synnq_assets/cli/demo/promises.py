"""What the demo promises, each checked against the signed records when it ends."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass

from synnq_assets.cli.demo.setup import HOSTILE_NODE, HOSTILE_ROUND, KILL_ROUND, KILLED_NODE
from synnq_assets.errors import SynnqError
from synnq_assets.records.identifiers import build_round_key
from synnq_assets.release import verify_release
from synnq_assets.trust import Home


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
    loss = home.campaign.find_loss(f"{KILL_ROUND}.{KILLED_NODE}.1")
    verdicts = [home.campaign.find_verdict(r) for r in loss.replacements] if loss else []
    is_kept = bool(verdicts) and all(v and v.decision == "accepted" for v in verdicts)
    seen = f"{loss.reason}; taken over by {', '.join(loss.replacements)}" if loss else "not lost"
    yield Promise(
        f"{KILL_ROUND}: {KILLED_NODE} is killed, its shards are reassigned", is_kept, seen
    )


def _check_hostile(home: Home) -> Iterator[Promise]:
    if home.settings.recipe.rounds.num_rounds < 3:
        return
    verdict = home.campaign.find_verdict(f"{HOSTILE_ROUND}.{HOSTILE_NODE}.1")
    is_kept = verdict is not None and verdict.decision == "refused"
    seen = "; ".join(verdict.reasons) if verdict else "no verdict"
    yield Promise(
        f"{HOSTILE_ROUND}: {HOSTILE_NODE} turns its update round and is refused", is_kept, seen
    )


def _check_release(home: Home) -> Iterator[Promise]:
    folders = (
        sorted((home.path / "releases").glob("*")) if (home.path / "releases").exists() else []
    )
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
    import dagster as dg

    from synnq_assets.defs.trust import compare_with_events

    try:
        size, root = home.audit.verify(home.log_verifier)
    except SynnqError as error:
        yield Promise("the audit log is consistent", False, str(error))
        return
    yield Promise("the audit log is consistent", True, f"{size} entries, root {root[:16]}…")
    os.environ["DAGSTER_HOME"] = str(home.path / "dagster")
    with dg.DagsterInstance.get() as instance:
        problems = compare_with_events(home, instance)
        failed = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    yield Promise(
        "it agrees with Dagster's events, both ways",
        not problems,
        "; ".join(problems[:3]) or "no disagreement",
    )
    yield Promise("no run failed", failed == 0, f"{failed} failed")
