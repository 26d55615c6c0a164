"""What curation says about one source: every document accounted for."""

from typing import ClassVar, Self

from pydantic import NonNegativeInt, model_validator

from synnq_assets.records.base import Record, UtcTime
from synnq_assets.records.identifiers import Sha256, SourceName


class CurationReport(Record):
    """Counts of one curation run. kept + dropped + review = input, always."""

    kind: ClassVar[str] = "curation-report"

    source: SourceName
    num_input: NonNegativeInt
    num_kept: NonNegativeInt
    dropped: dict[str, NonNegativeInt]  # "step:reason" -> documents
    review: dict[str, NonNegativeInt]  # "step:reason" -> documents
    redactions: dict[str, NonNegativeInt]  # email, phone, iban -> replacements in kept documents
    languages: dict[str, NonNegativeInt]  # kept documents per language
    domains: dict[str, NonNegativeInt]
    licences: dict[str, NonNegativeInt]
    num_characters: NonNegativeInt
    documents_sha256: Sha256  # of the Parquet file with the kept documents
    created_at: UtcTime

    @model_validator(mode="after")
    def _all_accounted(self) -> Self:
        accounted = self.num_kept + sum(self.dropped.values()) + sum(self.review.values())
        if accounted != self.num_input:
            raise ValueError(
                f"kept + dropped + review is {accounted}, but {self.num_input} documents came in"
            )
        return self
