"""Curate one source: every document is kept, dropped with a reason, or sent to review.

A source is held in memory, so that the result does not depend on the order in which it is read;
a corpus beyond that is given as several sources.
"""

import importlib.util
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from synnq_assets.corpora.documents import (
    Document,
    Rejection,
    write_documents,
    write_rejections,
)
from synnq_assets.corpora.sources import build_source
from synnq_assets.corpora.steps import STEPS, Drop, Keep, Step
from synnq_assets.errors import CorpusError, EmptyCorpusError
from synnq_assets.records.base import now_at, sha256_hex
from synnq_assets.records.corpora import CurationReport
from synnq_assets.settings.recipe import CorpusSettings, SourceSettings
from synnq_assets.storage.files import hash_file, write_atomically

DOCUMENTS, REJECTED, REPORT = "documents.parquet", "rejected.parquet", "report.json"
_EXTRA = ("license_expression", "phonenumbers", "py3langid", "stdnum", "zstandard")


@dataclass(slots=True)
class Curation:
    """What became of the documents of one source, in the order of their ids."""

    kept: list[Document] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)

    def count_reasons(self, disposition: str) -> dict[str, int]:
        """Return `step:reason` -> documents, most frequent first."""
        reasons = Counter(
            f"{item.step}:{item.reason}"
            for item in self.rejected
            if item.disposition == disposition
        )
        return dict(reasons.most_common())


def curate_source(source: SourceSettings, corpus: CorpusSettings, out_dir: Path) -> CurationReport:
    """Read, judge and write one source.

    Writes `documents.parquet`, `rejected.parquet` and, last, `report.json` into `out_dir`.

    Returns:
        The report: kept + dropped + review = input.

    Raises:
        UnknownSourceError: no source of this kind.
        SettingsError: a parameter or an accepted licence is wrong.
        CorpusError: the source cannot be read, or the `curate` extra is not installed.
        EmptyCorpusError: no document came in, or none passed; nothing is written.
    """
    _verify_extra()
    steps = [step(corpus) for step in STEPS.values()]
    documents = sorted(build_source(source).read(), key=Document.sort_key)
    if not documents:
        raise EmptyCorpusError(f"source {source.name!r} holds no document; check its parameters")
    curation = judge_documents(documents, steps)
    if not curation.kept:
        raise EmptyCorpusError(_describe_empty(source.name, len(documents), curation))
    write_documents(out_dir / DOCUMENTS, curation.kept)
    write_rejections(out_dir / REJECTED, curation.rejected)
    sha256, _ = hash_file(out_dir / DOCUMENTS)
    report = _build_report(source.name, len(documents), curation, sha256)
    write_atomically(out_dir / REPORT, report.canonical_bytes())
    return report


def digest_curation(folder: Path) -> str:
    """Return the SHA-256 (hex) of what a curation kept and rejected, whenever it was done."""
    digests = [hash_file(folder / name)[0] for name in (DOCUMENTS, REJECTED)]
    return sha256_hex("\n".join(digests).encode())


def judge_documents(documents: list[Document], steps: list[Step]) -> Curation:
    """Send every document through the steps, until one does not keep it."""
    curation = Curation()
    for document in documents:
        current = document
        for step in steps:
            answer = step.judge(current)
            if isinstance(answer, Keep):
                current = answer.document
                continue
            curation.rejected.append(
                Rejection(
                    doc_id=document.doc_id,
                    step=step.name,
                    reason=answer.reason,
                    disposition="drop" if isinstance(answer, Drop) else "review",
                    origin=document.origin,
                    detail=answer.detail,
                )
            )
            break
        else:
            curation.kept.append(current)
    return curation


def _build_report(
    source: str, num_input: int, curation: Curation, documents_sha256: str
) -> CurationReport:
    kept = curation.kept
    return CurationReport(
        source=source,
        num_input=num_input,
        num_kept=len(kept),
        dropped=curation.count_reasons("drop"),
        review=curation.count_reasons("review"),
        redactions={
            "email": sum(item.redactions_email for item in kept),
            "phone": sum(item.redactions_phone for item in kept),
            "iban": sum(item.redactions_iban for item in kept),
        },
        languages=dict(Counter(item.language for item in kept).most_common()),
        domains=dict(Counter(item.domain for item in kept).most_common()),
        licences=dict(Counter(item.licence for item in kept).most_common()),
        num_characters=sum(len(item.text) for item in kept),
        documents_sha256=documents_sha256,
        created_at=now_at(),
    )


def _describe_empty(source: str, num_input: int, curation: Curation) -> str:
    reasons = curation.count_reasons("drop") | curation.count_reasons("review")
    listed = ", ".join(f"{reason} {number}" for reason, number in reasons.items())
    if all(reason.startswith("licence:") for reason in reasons):
        return (
            f"source {source!r}: none of {num_input} documents passed the licence gate ({listed}); "
            "add a licence to corpus.licences only if you may use it"
        )
    return f"source {source!r}: none of {num_input} documents passed curation ({listed})"


def _verify_extra() -> None:
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise CorpusError(
            f"curation needs {', '.join(missing)}; install synnq-assets with the extra `curate`"
        )
