"""Neither envelope nor update was seen before: no replay, no copy of another node's work."""

from typing import ClassVar

from synnq_assets.submissions.arrival import SUBMISSION_FILE, UPDATE_FILE
from synnq_assets.submissions.checks.base import Check, Outcome, decide
from synnq_assets.submissions.intake import Case


class DuplicateCheck(Check):
    """Look the measured digests up; the same assignment may be judged again."""

    name: ClassVar[str] = "duplicate"

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        problems = []
        known = case.intake.known_digests
        for name, what in ((SUBMISSION_FILE, "replay of"), (UPDATE_FILE, "copy of the update of")):
            file = case.digests.get(name)
            owner = known.get(file.sha256) if file is not None else None
            if owner is not None and owner != case.intake.order.assignment_id:
                problems.append(f"{what} {owner[:60]}")
        update = case.digests.get(UPDATE_FILE)
        return decide(
            problems, num_known=len(known), update_sha256=update.sha256 if update else "none"
        )
