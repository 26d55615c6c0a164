"""The held-out documents: what was kept back from training, read and cut to size.

One Parquet file per cell, `<language>.<domain>.parquet`, with the columns doc_id, language, domain,
source, text. A document's id is a digest, so the first ids in order are a fixed random sample.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synnq_assets.errors import EvaluationError

COLUMNS = ("doc_id", "language", "domain", "source", "text")
CELL_NAME = re.compile(r"[a-z]{2,3}\.[a-z][a-z0-9_]*", re.ASCII)
MARKUP = re.compile(r"<\|[^|<>]{1,40}\|>")  # a special token's spelling would end a document early


@dataclass(frozen=True)
class HeldOutDocument:
    """One document that no node has trained on."""

    doc_id: str
    cell: str
    language: str
    domain: str
    text: str


Holdout = Mapping[str, Sequence[HeldOutDocument]]  # cell -> documents by id


def read_holdout(files: Sequence[Path], *, documents_per_cell: int) -> Holdout:
    """Read at most `documents_per_cell` documents of every cell, ordered by cell and id.

    Raises:
        EvaluationError: no file, a file that is not of this form, or no text at all.
    """
    cells: dict[str, list[HeldOutDocument]] = {}
    for file in sorted(files, key=lambda path: path.name):
        documents = _read_cell(file)
        documents.sort(key=lambda document: document.doc_id)
        if documents:
            cells[file.stem] = documents[:documents_per_cell]
    if not cells:
        raise EvaluationError(
            f"the held-out set is empty ({len(files)} files, no document with text); "
            "raise shards.holdout_share or add documents, then build the suite again"
        )
    return cells


def _read_cell(file: Path) -> list[HeldOutDocument]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.suffix != ".parquet" or CELL_NAME.fullmatch(file.stem) is None:
        raise EvaluationError(f"{file.name} is not named <language>.<domain>.parquet")
    try:
        missing = sorted({*COLUMNS} - {*pq.read_schema(file).names})
        if missing:
            raise EvaluationError(f"held-out file {file} has no column {', '.join(missing)}")
        rows = pq.read_table(file, columns=list(COLUMNS)).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise EvaluationError(f"held-out file {file} cannot be read: {error}") from error
    documents = []
    for row in rows:
        text = " ".join(MARKUP.sub(" ", row["text"] or "").split())
        if text:
            documents.append(
                HeldOutDocument(row["doc_id"], file.stem, row["language"], row["domain"], text)
            )
    return documents


def cut_text(text: str, *, max_bytes: int) -> tuple[str, str]:
    """Split text after at most `max_bytes` UTF-8 bytes, at a space; the rest keeps its space.

    A first word longer than the limit is cut at a character. `head + rest == text` always.
    """
    data = text.encode()
    if len(data) <= max_bytes:
        return text, ""
    head = data[:max_bytes].decode(errors="ignore")
    if not text[len(head)].isspace():
        at = head.rfind(" ")
        head = head[:at] if at > 0 else head
    return head, text[len(head) :]
