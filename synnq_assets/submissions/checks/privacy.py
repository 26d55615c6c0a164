"""Nothing but registered figures, ids and codes arrived: no note, no loss of a few sequences.

Columns and their types are the business of the checks of each table. This one looks at all other
text that a submission can carry: notes in Parquet and safetensors files, the name of the program
that wrote them, the strings of the manifest. Tripwires then look for shapes of personal data and
of machines' names. A hit leaves the submission in quarantine, and is never repeated.

No recipe asks for differential privacy, so a claim of it has nothing that it could be true of.
"""

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from synnq_assets.privacy import count_sequences, find_tripwire
from synnq_assets.submissions.arrival import DIAGNOSTICS_FILE, LOG_FILE, UPDATE_FILE
from synnq_assets.submissions.checks.base import Check, Outcome, decide
from synnq_assets.submissions.intake import Case
from synnq_assets.submissions.logs import iter_texts

# Parquet writers state themselves: "parquet-cpp-arrow version 25.0.1".
WRITER = re.compile(r"[a-z][a-z -]{0,39} version [0-9A-Za-z.+-]{1,30}( \(build [0-9a-f]{0,40}\))?")
SAFETENSORS_NOTES = {"format": "pt"}


class PrivacyCheck(Check):
    """Look for text, and for aggregates over too few sequences."""

    name: ClassVar[str] = "privacy"
    needs: ClassVar[tuple[str, ...]] = ("tensor_profile", "training_log")

    def examine(self, case: Case) -> Outcome:  # noqa: D102 - contract in the base
        problems, num_texts = [], 0
        for name in (LOG_FILE, DIAGNOSTICS_FILE):
            for kind, text in iter_texts(case.path(name)):
                num_texts += 1
                if kind == "note" or not WRITER.fullmatch(text):
                    problems.append(f"{name} carries a {kind} that is not registered")
        with case.open_update() as update:
            notes, texts = update.metadata, list(update.tensors)
        if notes.items() - SAFETENSORS_NOTES.items():
            problems.append(f"{UPDATE_FILE} carries a note that is not registered")
        texts += _iter_strings(case.submission.model_dump(mode="json"))
        for kind in sorted({hit for text in texts if (hit := find_tripwire(text))}):
            problems.append(f"something that looks like a {kind} is in it")
        if case.submission.privacy_claim is not None:
            problems.append("claims differential privacy, which the recipe does not ask for")
        num_fine = _count_fine_losses(case)
        if num_fine:
            least = case.intake.recipe.privacy.min_loss_sequences
            problems.append(
                f"{num_fine} rows tell a loss or gradient norm of fewer than {least} sequences"
            )
        return decide(
            list(dict.fromkeys(problems)), num_texts=num_texts + len(texts), num_fine=num_fine
        )


def _count_fine_losses(case: Case) -> int:
    recipe, log = case.intake.recipe, case.log
    is_told = np.isfinite(log.loss) | np.isfinite(log.gradient_norm)
    return sum(
        count_sequences(tokens, recipe.training.sequence_tokens) < recipe.privacy.min_loss_sequences
        for tokens in log.tokens[is_told].tolist()
    )


def _iter_strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _iter_strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _iter_strings(item)
