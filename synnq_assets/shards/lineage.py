"""From document to shard: one Parquet object per cell, sorted by document id.

The file is written last, so a cell that has one is complete. Its metadata hold the digests of
tokenizer and configuration, which with the rows and the tokens give back each shard's id.
"""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from synnq_assets.errors import ShardError
from synnq_assets.shards.plan import PLAN_KEY, ShardPlan
from synnq_assets.storage.objects import ObjectStore

PREFIX = "shards/lineage"
LISTED_ROWS = 1_000
_DOCUMENT = re.compile(r"[0-9a-f]{8,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class LineageRow:
    """One document, or one part of it, in one shard."""

    doc_id: str
    shard_id: str
    cell: str
    part: int  # 1 to num_parts
    num_parts: int
    begin_token: int  # offset in the shard
    num_tokens: int  # end of text included
    source: str
    origin: str
    licence: str


@dataclass(frozen=True)
class CellLineage:
    """All rows of a cell, with what its shard ids depend on."""

    rows: tuple[LineageRow, ...]
    tokenizer_sha256: str
    config_sha256: str


def build_lineage_key(cell: str, generation: int) -> str:
    """Return the object key of a cell's lineage."""
    suffix = "" if generation == 1 else f".g{generation:04d}"
    return f"{PREFIX}/{cell}{suffix}.parquet"


def write_lineage(store: ObjectStore, key: str, lineage: CellLineage) -> None:
    """Store the lineage of a complete cell; the same lineage again is accepted.

    Raises:
        ShardError: another lineage stands under this key.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if store.has(key):
        if read_lineage(store, key) != lineage:
            raise ShardError(f"{key} holds other shards; raise the recipe's shards.generation")
        return
    names = LineageRow.__slots__
    types = get_type_hints(LineageRow)
    schema = pa.schema(
        [(name, pa.int64() if types[name] is int else pa.string()) for name in names],
        {"tokenizer_sha256": lineage.tokenizer_sha256, "config_sha256": lineage.config_sha256},
    )
    columns = [[getattr(row, name) for row in lineage.rows] for name in names]
    out = io.BytesIO()
    pq.write_table(pa.table(columns, schema=schema), out, compression="zstd")
    store.put_bytes(key, out.getvalue())


def read_lineage(store: ObjectStore, key: str) -> CellLineage:
    """Return the lineage of a complete cell.

    Raises:
        ObjectNotFoundError: the cell is not complete yet.
        ShardError: the file is not a lineage.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = store.local_path(key)
    try:
        table = pq.read_table(path)
        metadata = table.schema.metadata or {}
        rows = tuple(LineageRow(**row) for row in table.to_pylist())
        return CellLineage(
            rows=rows,
            tokenizer_sha256=metadata[b"tokenizer_sha256"].decode(),
            config_sha256=metadata[b"config_sha256"].decode(),
        )
    except (pa.ArrowException, KeyError, TypeError) as error:
        raise ShardError(f"{key} is not a lineage file: {error}") from error


def list_shards(store: ObjectStore) -> dict[str, tuple[str, ...]]:
    """Return cell -> ids of its shards, sorted, for all complete cells.

    A sealed shard outside this list is what an interrupted or abandoned plan left behind.
    """
    import pyarrow.parquet as pq

    shards: dict[str, set[str]] = {}
    for key in store.iter_keys(PREFIX):
        table = pq.read_table(store.local_path(key), columns=["cell", "shard_id"])
        for cell, shard_id in zip(*table.to_pydict().values(), strict=True):
            shards.setdefault(cell, set()).add(shard_id)
    return {cell: tuple(sorted(ids)) for cell, ids in sorted(shards.items())}


def find_document(store: ObjectStore, document: str) -> list[LineageRow]:
    """Return where a document is: a row per part (of every generation that holds it).

    Args:
        store: the campaign's object store.
        document: a doc_id, or at least 8 digits of one.

    Raises:
        ShardError: not an id, unknown, ambiguous, kept back in the holdout, or left out because
            another document has the same text (the message names it).
    """
    document = document.strip().lower()
    if not _DOCUMENT.fullmatch(document):
        raise ShardError(f"{document[:80]!r} is not 8 to 64 digits of a document id")
    rows = [
        LineageRow(**row)
        for key in store.iter_keys(PREFIX)
        for row in _read_matches(store, key, document, LineageRow.__slots__)
    ]
    held = {
        row["doc_id"]: key.removeprefix("shards/holdout/").removesuffix(".parquet")
        for key in store.iter_keys("shards/holdout")
        for row in _read_matches(store, key, document, ("doc_id",))
    }
    if not rows and not held:
        _refuse_left_out(store, document)
    _refuse_unclear(document, rows, held)
    return sorted(rows, key=lambda row: row.part)


def list_documents(store: ObjectStore, per_cell: int) -> list[LineageRow]:
    """Return up to `per_cell` documents of each complete cell, to begin with: the lowest ids.

    Raises:
        ShardError: no cell is complete yet.
    """
    import pyarrow.parquet as pq

    listed: list[LineageRow] = []
    for key in store.iter_keys(PREFIX):
        with pq.ParquetFile(store.local_path(key)) as file:
            batches = file.iter_batches(batch_size=LISTED_ROWS)
            rows = [LineageRow(**row) for row in next(batches).to_pylist()]
        listed += [row for row in rows if row.part == 1][:per_cell]
    if not listed:
        raise ShardError("no cell is sealed yet; `signed_shards` has to be materialised first")
    return listed


def _refuse_left_out(store: ObjectStore, document: str) -> None:
    if not store.has(PLAN_KEY):
        return
    plan = ShardPlan.from_bytes(store.get_bytes(PLAN_KEY))
    for source, left_out in plan.duplicates.items():
        for doc_id, stays in left_out.items():
            if doc_id.startswith(document):
                raise ShardError(
                    f"document {doc_id} of {source} is in no shard: it has the same text as "
                    f"document {stays}, which stays in its place; ask for that one"
                )


def _refuse_unclear(document: str, rows: Sequence[LineageRow], held: dict[str, str]) -> None:
    found = sorted({row.doc_id for row in rows} | set(held))
    if not found:
        raise ShardError(f"no document {document} is in any complete cell or holdout")
    if len(found) > 1:
        names = ", ".join(doc_id[:16] for doc_id in found[:4])
        raise ShardError(f"{document} begins {len(found)} document ids ({names}); give more digits")
    if not rows:
        cell = held[found[0]]
        raise ShardError(
            f"document {found[0]} is in no shard: it is kept back in the holdout of {cell}"
        )


def _read_matches(
    store: ObjectStore, key: str, document: str, columns: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield rows whose doc_id begins with `document`; sorted files let most blocks be skipped."""
    import pyarrow.parquet as pq

    bounds = [("doc_id", ">=", document), ("doc_id", "<", document + "g")]  # g follows f
    yield from pq.read_table(
        store.local_path(key), columns=list(columns), filters=bounds
    ).to_pylist()
