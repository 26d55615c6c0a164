"""Curated documents as the corpora room leaves them: Parquet files, one per source."""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from synnq_assets.errors import ShardError

BATCH_DOCUMENTS = 256
_DOC_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CELL = re.compile(r"[a-z]{2,3}\.[a-z][a-z0-9_]{0,39}", re.ASCII)

Batch = dict[str, list[Any]]


def build_cell_key(language: str, domain: str) -> str:
    """Return the key of a (language, domain) cell: `("de", "law") -> "de.law"`."""
    return f"{language}.{domain}"


def parse_cell_key(cell: str) -> tuple[str, str]:
    """Return (language, domain) of a cell key.

    Raises:
        ShardError: not a cell key.
    """
    if not _CELL.fullmatch(cell):
        raise ShardError(f"{cell[:80]!r} is not a cell key; expected language.domain, as in de.law")
    language, _, domain = cell.partition(".")
    return language, domain


def verify_document_id(doc_id: str) -> str:
    """Return `doc_id` if it is a SHA-256 in hex; anything else is a `ShardError`."""
    if not _DOC_ID.fullmatch(doc_id):
        raise ShardError(f"document id {doc_id[:80]!r} is not 64 hexadecimal digits; curate again")
    return doc_id


def iter_documents(
    documents: Sequence[Path],
    columns: Sequence[str],
    *,
    only: Collection[str] | None = None,
    batch_documents: int = BATCH_DOCUMENTS,
) -> Iterator[Batch]:
    """Yield batches of the named columns, in file order; memory holds one batch.

    Args:
        documents: Parquet files.
        columns: columns to read; `doc_id` must be among them when `only` is given.
        only: if given, documents with other ids are left out.
        batch_documents: most documents per batch.

    Raises:
        ShardError: a file is missing, is not Parquet, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = None if only is None else pa.array(sorted(only), pa.string())
    for path in documents:
        try:
            with pq.ParquetFile(path) as file:
                missing = sorted(set(columns) - set(file.schema_arrow.names))
                if missing:
                    raise ShardError(f"{path} lacks the column {missing[0]!r}; curate it again")
                for batch in file.iter_batches(batch_documents, columns=list(columns)):
                    if wanted is not None:
                        batch = batch.filter(pc.is_in(batch["doc_id"], value_set=wanted))
                    if batch.num_rows:
                        yield batch.to_pydict()
        except (OSError, pa.ArrowException) as error:
            raise ShardError(f"cannot read documents from {path}: {error}") from error
