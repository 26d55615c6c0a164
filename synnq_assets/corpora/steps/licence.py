"""The licence gate: what is not plainly permitted does not enter.

Directive (EU) 2019/790, article 4(3): a reservation of text and data mining overrides the
exception for mining, so a reserved document is dropped whatever its licence says.
"""

from dataclasses import replace

from synnq_assets.corpora.documents import Document
from synnq_assets.corpora.licences import parse_accepted, select_licence
from synnq_assets.corpora.steps.base import Answer, Drop, Keep, Review, Step
from synnq_assets.settings.recipe import CorpusSettings

DETAIL_CHARACTERS = 120


class LicenceStep(Step):
    """Keeps documents under an accepted licence, with its SPDX expression normalised."""

    name = "licence"

    def __init__(self, corpus: CorpusSettings) -> None:
        """Take the accepted licences.

        Raises:
            SettingsError: an accepted licence is not an SPDX id.
        """
        self._accepted = parse_accepted(corpus.licences)

    def judge(self, document: Document) -> Answer:
        """Drop `tdm-reserved`, `missing`, `not-spdx`, `not-accepted`; review `conflict`."""
        stated = " ".join(document.licence.split())[:DETAIL_CHARACTERS]
        if document.tdm_reserved:
            return Drop("tdm-reserved", stated)
        choice = select_licence(document.licence, self._accepted)
        if choice.reason:
            return Drop(choice.reason, stated)
        if document.licence_conflict:
            return Review("conflict", stated)
        return Keep(replace(document, licence=choice.licence))
