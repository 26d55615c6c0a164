"""The update has the base checkpoint's tensors, by name and shape, in bf16."""

from typing import ClassVar

from synnq_assets.storage.tensors import digest_schema
from synnq_assets.submissions.checks.base import Check, Outcome, decide
from synnq_assets.submissions.intake import Case

UPDATE_DTYPE = "BF16"


class TensorSchemaCheck(Check):
    """Compare two tables: name -> (dtype, shape)."""

    name: ClassVar[str] = "tensor_schema"
    needs: ClassVar[tuple[str, ...]] = ("tensor_profile",)

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        with case.open_base() as base, case.open_update() as update:
            expected = {name: info.shape for name, info in base.tensors.items()}
            found = update.schema
        missing = sorted(expected.keys() - found.keys())
        unexpected = sorted(found.keys() - expected.keys())
        problems = []
        if missing:
            problems.append(f"tensor {missing[0]} is missing")
        if unexpected:
            problems.append(f"{len(unexpected)} tensors are not part of the model")
        for name in sorted(expected.keys() & found.keys()):
            dtype, shape = found[name]
            if dtype != UPDATE_DTYPE:
                problems.append(f"{name} is {dtype}, expected {UPDATE_DTYPE}")
            elif shape != expected[name]:
                problems.append(f"{name} is {list(shape)}, expected {list(expected[name])}")
        if digest_schema(found) != case.submission.tensor_schema_sha256:
            problems.append("the manifest declares another tensor schema than the file has")
        return decide(
            problems[:3],
            num_missing=len(missing),
            num_unexpected=len(unexpected),
            num_problems=len(problems),
            schema_sha256=digest_schema(found),
        )
