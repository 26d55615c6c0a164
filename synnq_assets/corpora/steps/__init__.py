"""The ordered steps of curation: licence first, since nothing may be read closely without one.

base.py         the contract: keep, drop with a reason, review with a reason
licence.py      SPDX expressions against the accepted list, reserved rights, contradictions
language.py     the declared language against a detector
exact_dedup.py  the same text again
quality.py      lengths, letters, words, repetition
redaction.py    e-mail addresses, telephone numbers, IBANs
"""

from synnq_assets.corpora.steps.base import Answer, Drop, Keep, Review, Step
from synnq_assets.corpora.steps.exact_dedup import ExactDedupStep
from synnq_assets.corpora.steps.language import LanguageStep
from synnq_assets.corpora.steps.licence import LicenceStep
from synnq_assets.corpora.steps.quality import QualityStep
from synnq_assets.corpora.steps.redaction import RedactionStep

# In this order. Deduplication follows the gates, so that a refused copy never displaces a
# permitted one; redaction is last, since it alone changes the text.
STEPS: dict[str, type[Step]] = {
    step.name: step
    for step in (LicenceStep, LanguageStep, ExactDedupStep, QualityStep, RedactionStep)
}

__all__ = ["STEPS", "Answer", "Drop", "Keep", "Review", "Step"]
