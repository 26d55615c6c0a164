"""The same text from two sources: one copy stays, so that no text is both trained on and held out.

Curation compares within a source; here all sources meet. Texts are compared as curation compares
them (Unicode normal form C, runs of white space as one), but after redaction. The copy with the
lowest document id stays, so the order of sources changes nothing. Memory holds digests, no texts.
"""

from collections import defaultdict
from collections.abc import Sequence

from synnq_assets.shards.survey import SurveyedDocument

Duplicates = dict[str, dict[str, str]]  # source -> document left out -> the one that stays


def leave_out_duplicates(
    surveyed: Sequence[SurveyedDocument],
) -> tuple[list[SurveyedDocument], Duplicates]:
    """Return the documents that stay, sorted by doc_id, and those that are left out for them."""
    first: dict[bytes, str] = {}
    kept = []
    duplicates: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for document in sorted(surveyed, key=lambda item: item.doc_id):
        stays = first.setdefault(document.text_digest, document.doc_id)
        if stays == document.doc_id:
            kept.append(document)
        else:
            duplicates[document.source][document.doc_id] = stays
    return kept, dict(sorted(duplicates.items()))
