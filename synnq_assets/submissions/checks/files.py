"""Exactly the expected regular files, with the lengths and digests that the manifest declares."""

from typing import ClassVar

from synnq_assets.submissions.arrival import EXPECTED_FILES, SUBMISSION_FILE
from synnq_assets.submissions.checks.base import Check, Outcome, decide
from synnq_assets.submissions.intake import Case


class FilesCheck(Check):
    """Compare the folder with the manifest; every file is read once, in blocks."""

    name: ClassVar[str] = "files"
    needs: ClassVar[tuple[str, ...]] = ("signature",)

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        num_extra = len(set(case.names) - set(EXPECTED_FILES))
        problems = [f"{num_extra} extra files"] if num_extra else []
        declared = {file.name: file for file in case.submission.files}
        expected = {name for name in EXPECTED_FILES if name != SUBMISSION_FILE}
        if declared.keys() != expected or len(case.submission.files) != len(expected):
            problems.append(f"the manifest must list exactly {', '.join(sorted(expected))}")
        for name in sorted(expected):
            if name not in case.names:
                problems.append(f"{name} {case.left_behind.get(name, 'is missing')}")
            elif name in case.irregular:
                problems.append(f"{name} {case.irregular[name]}")
            elif name in declared:
                measured = case.digests[name]
                if measured.num_bytes != declared[name].num_bytes:
                    problems.append(
                        f"{name} has {measured.num_bytes} bytes, "
                        f"{declared[name].num_bytes} were declared"
                    )
                elif measured.sha256 != declared[name].sha256:
                    problems.append(f"{name} does not have the declared digest")
        num_bytes = sum(file.num_bytes for file in case.digests.values())
        return decide(
            problems,
            num_files=len(case.names),
            num_bytes=num_bytes,
            num_left_behind=len(case.left_behind),
        )
