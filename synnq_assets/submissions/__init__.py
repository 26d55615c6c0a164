"""Submissions: what a node sent in, one verdict out.

In: a folder with a signed manifest, an update, a training log and diagnostics. Out: a `Verdict`
with every figure that could be taken. Nothing that a node sends raises an error here: foreign
bytes that make no sense become a failed check with its reason. `SubmissionError` means that intake
itself could not work.

What arrives goes into quarantine first; only an accepted submission is promoted to the round.

    arrival.py     outbox -> quarantine -> round, regular files of the four expected names alone
    intake.py      what a judgement starts from, and what the checks share
    judging.py     runs the checks, gives the verdict
    bounds.py      what an order allows: steps, learning rates, how far Adam can move a weight
    logs.py        training log and diagnostics, read as figures only
    checks/        one check per file, in the order of the registry
"""

from synnq_assets.submissions.arrival import (
    ARRIVAL_FILE,
    promote_submission,
    quarantine_key,
    receive_submission,
)
from synnq_assets.submissions.checks import CHECKS
from synnq_assets.submissions.intake import Intake
from synnq_assets.submissions.judging import judge_submission

__all__ = [
    "ARRIVAL_FILE",
    "CHECKS",
    "Intake",
    "judge_submission",
    "promote_submission",
    "quarantine_key",
    "receive_submission",
]
