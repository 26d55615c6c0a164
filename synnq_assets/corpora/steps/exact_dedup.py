"""Exact deduplication: the same words in the same order, whatever the white space.

The text is compared in Unicode normal form C with runs of white space as one space. Since steps
see documents in the order of their ids, the copy that stays does not depend on the source's order.
"""

import hashlib
import unicodedata

from synnq_assets.corpora.documents import Document
from synnq_assets.corpora.steps.base import Answer, Drop, Keep, Step
from synnq_assets.settings.recipe import CorpusSettings


class ExactDedupStep(Step):
    """Keeps the first document of every text."""

    name = "exact-dedup"

    def __init__(self, corpus: CorpusSettings) -> None:
        """Start with no text seen; there is nothing to set."""
        self._first: dict[bytes, str] = {}

    def judge(self, document: Document) -> Answer:
        """Drop `duplicate`; the detail is the id of the document that stays."""
        text = unicodedata.normalize("NFC", " ".join(document.text.split()))
        digest = hashlib.sha256(text.encode()).digest()
        first = self._first.get(digest)
        if first is not None:
            return Drop("duplicate", first)
        self._first[digest] = document.doc_id
        return Keep(document)
