"""Run the checks, give the verdict.

A submission is accepted when every check passed. Its tokens are the order's, never its own claim;
its score is the probe's.
"""

from collections import Counter

from synnq_assets.errors import RecordError, SubmissionError, TensorFileError, TrustError
from synnq_assets.privacy import build_failure_code, find_tripwire
from synnq_assets.records.base import now_at
from synnq_assets.records.submissions import CheckResult, Figure, Verdict
from synnq_assets.submissions.checks import CHECKS, Check
from synnq_assets.submissions.intake import Case, Intake

MAX_REASON_CHARACTERS = 400
LARGEST_EXACT_INTEGER = 2**53  # canonical JSON holds no larger one


def judge_submission(intake: Intake) -> Verdict:
    """Judge one submission.

    Whatever the node sent, the answer is a verdict.

    Raises:
        SubmissionError: intake itself cannot work: the order and the node do not belong together,
            the settings ask for a probe and none is given, or the base checkpoint, the probe or
            the quarantine folder cannot be read.
    """
    order = intake.order
    if intake.node.node_id != order.node_id:
        raise SubmissionError(
            f"order {order.assignment_id} is for {order.node_id}, not for {intake.node.node_id}"
        )
    if intake.settings.probe and intake.probe is None:
        raise SubmissionError(
            f"intake.probe is on, but {order.assignment_id} is judged without one"
        )
    case = Case(intake)
    results: dict[str, CheckResult] = {}
    for name, check in CHECKS.items():
        results[name] = _run(check, case, results)
    is_accepted = all(result.passed for result in results.values())
    score = results["probe"].figures.get("score", 0.0)
    cell_tokens: Counter[str] = Counter()
    for shard in order.shards:
        cell_tokens[shard.cell] += shard.num_tokens
    return Verdict(
        round=order.round,
        assignment_id=order.assignment_id,
        node_id=order.node_id,
        submission_sha256=case.submission_sha256,
        decision="accepted" if is_accepted else "refused",
        score=float(score) if is_accepted else 0.0,
        num_tokens=order.num_tokens,
        cell_tokens=dict(cell_tokens),
        checks=tuple(results.values()),
        decided_at=now_at(),
        audit_index=intake.audit_index,
    )


def _run(check: Check, case: Case, earlier: dict[str, CheckResult]) -> CheckResult:
    for need in check.needs:
        if not earlier[need].passed:
            reason = f"not run: {need} failed"
            return CheckResult(name=check.name, passed=False, reason=reason, figures={})
    try:
        outcome = check.examine(case)
    except (RecordError, TrustError, TensorFileError) as error:
        problem = _withhold(_one_line(str(error)))
        return CheckResult(name=check.name, passed=False, reason=problem, figures={})
    except SubmissionError:
        raise
    except Exception as error:
        # Neither its text nor its cause: both may quote what the node sent.
        raise SubmissionError(
            f"check {check.name} could not work on {case.intake.order.assignment_id}: "
            f"{build_failure_code(error)}; judge it by hand to see more"
        ) from None
    return CheckResult(
        name=check.name,
        passed=outcome.problem is None,
        reason="ok" if outcome.problem is None else _withhold(_one_line(outcome.problem)),
        figures={name: _tame(value) for name, value in outcome.figures.items()},
    )


def _one_line(text: str) -> str:
    """Return printable text of bounded length."""
    printable = "".join(char if char.isprintable() else "?" for char in text)
    if len(printable) > MAX_REASON_CHARACTERS:
        return printable[: MAX_REASON_CHARACTERS - 1] + "…"
    return printable


def _withhold(reason: str) -> str:
    """Return a reason; the sentences of the checks quote nothing, and this is behind them."""
    kind = find_tripwire(reason)
    return reason if kind is None else f"withheld: what is wrong looks like a {kind}"


def _tame(value: Figure) -> Figure:
    """Return a figure that canonical JSON can hold: what is not finite or exact becomes text.

    A float beyond 2**53 is whole, is written as an integer, and would not be read back as one.
    """
    if isinstance(value, str | bool) or abs(value) <= LARGEST_EXACT_INTEGER:
        return value
    return f"{value:.6g}"
