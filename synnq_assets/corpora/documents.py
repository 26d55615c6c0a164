"""A document on its way through curation, and the Parquet schema of those that were kept.

`doc_id` is the SHA-256 (hex) of `source|origin|text` as the document came in, before redaction,
so that it stays the same when a redaction rule improves, and does not depend on the order of rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synnq_assets.records.base import sha256_hex
from synnq_assets.storage.files import open_atomically

ROW_GROUP_ROWS = 2_000
UNKNOWN_LANGUAGE = "und"

SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("doc_type", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("num_characters", pa.int64(), nullable=False),
        pa.field("redactions_email", pa.int64(), nullable=False),
        pa.field("redactions_phone", pa.int64(), nullable=False),
        pa.field("redactions_iban", pa.int64(), nullable=False),
        pa.field("machine_generated", pa.bool_(), nullable=False),
    ]
)

REJECTED_SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("step", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("disposition", pa.string(), nullable=False),  # drop, review
        pa.field("origin", pa.string(), nullable=False),  # where a reviewer finds it
        pa.field("detail", pa.string(), nullable=False),  # the figure or licence that decided
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One text with its provenance. Steps return changed copies (`dataclasses.replace`).

    Attributes:
        language: as declared by the source, ISO 639; `und` where it says nothing.
        licence: as stated by the source until the licence step has normalised it.
        licence_conflict: two statements of the source about the licence contradict each other.
        tdm_reserved: the rights holder reserved text and data mining (Directive 2019/790, art. 4).
    """

    source: str
    origin: str
    text: str
    language: str = UNKNOWN_LANGUAGE
    domain: str = "general"
    doc_type: str = "document"
    licence: str = ""
    title: str = ""
    machine_generated: bool = False
    licence_conflict: bool = False
    tdm_reserved: bool = False
    redactions_email: int = 0
    redactions_phone: int = 0
    redactions_iban: int = 0
    doc_id: str = ""

    def __post_init__(self) -> None:
        if not self.doc_id:
            key = f"{self.source}|{self.origin}|{self.text}"
            object.__setattr__(self, "doc_id", sha256_hex(key.encode()))

    def sort_key(self) -> tuple[str, str, str, str, str]:
        """Return a key that orders documents the same way however the source delivers them."""
        return self.doc_id, self.licence, self.language, self.domain, self.title


@dataclass(frozen=True, slots=True)
class Rejection:
    """One document that was dropped or sent to review; never its text."""

    doc_id: str
    step: str
    reason: str
    disposition: str
    origin: str
    detail: str


def clean_text(text: str) -> str:
    """Return `text` with Unix line ends, without NUL and lone surrogates (which UTF-8 lacks)."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        text = text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    return text


def write_documents(path: Path, documents: Sequence[Document]) -> None:
    """Write kept documents as zstd Parquet; equal documents give equal bytes.

    Raises:
        StorageError: the disk refuses; `path` is as it was.
    """
    with (
        open_atomically(path) as file,
        pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer,
    ):
        for start in range(0, len(documents), ROW_GROUP_ROWS):
            rows = [_to_row(item) for item in documents[start : start + ROW_GROUP_ROWS]]
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))


def write_rejections(path: Path, rejections: Iterable[Rejection]) -> None:
    """Write what was not kept, and why, as zstd Parquet.

    Raises:
        StorageError: the disk refuses; `path` is as it was.
    """
    rows = [{field: getattr(item, field) for field in REJECTED_SCHEMA.names} for item in rejections]
    table = pa.Table.from_pylist(rows, schema=REJECTED_SCHEMA)
    with open_atomically(path) as file:
        pq.write_table(table, file, compression="zstd")


def read_columns(path: Path, columns: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    """Yield the named columns of a documents file, one batch of rows at a time."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROW_GROUP_ROWS, columns=list(columns)):
            yield batch.to_pydict()


def _to_row(document: Document) -> dict[str, Any]:
    row = {name: getattr(document, name, None) for name in SCHEMA.names}
    row["num_characters"] = len(document.text)
    return row
