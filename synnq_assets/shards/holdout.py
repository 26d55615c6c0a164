"""Documents kept back for evaluation and probes: never in a shard, never at a node.

A document is held out when a hash of its id falls below the holdout's share, so the choice depends
on nothing else and stays as the corpus grows. Small cells top up to `MIN_HELD` with their lowest
hashes; a growing cell can only displace those into shards, never the other way round, so that what
was trained on is not evaluated on later. (The one exception is a cell that passes `MIN_CELL`.)
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synnq_assets.errors import ShardError
from synnq_assets.shards.documents import iter_documents
from synnq_assets.storage.objects import ObjectStore

if TYPE_CHECKING:
    from synnq_assets.shards.plan import ShardPlan

MIN_HELD = 2  # documents of a cell that has at least MIN_CELL
MIN_CELL = 8
COLUMNS = ("doc_id", "language", "domain", "source", "text")


def _place_document(doc_id: str) -> float:
    """Return a fixed pseudo-random place of a document in [0, 1)."""
    digest = hashlib.sha256(b"synnq-holdout\0" + doc_id.encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def select_holdout(cells: Mapping[str, Sequence[str]], share: float) -> dict[str, tuple[str, ...]]:
    """Return cell -> ids kept back, sorted; a share of 0 keeps nothing back.

    Args:
        cells: original cell -> ids of its documents, in any order.
        share: of each cell's documents, in expectation.
    """
    held: dict[str, tuple[str, ...]] = {}
    for cell, doc_ids in sorted(cells.items()):
        if share == 0.0:
            continue
        places = sorted((_place_document(doc_id), doc_id) for doc_id in doc_ids)
        num_held = sum(place < share for place, _ in places)
        if len(places) >= MIN_CELL:
            num_held = max(num_held, MIN_HELD)
        if num_held:
            held[cell] = tuple(sorted(doc_id for _, doc_id in places[:num_held]))
    return held


def build_holdout_key(cell: str, generation: int) -> str:
    """Return the object key of a cell's holdout."""
    suffix = "" if generation == 1 else f".g{generation:04d}"
    return f"shards/holdout/{cell}{suffix}.parquet"


def write_holdout(
    plan: "ShardPlan", *, documents: Sequence[Path], store: ObjectStore
) -> dict[str, int]:
    """Store the held-out documents with their text, one Parquet object per original cell.

    They stay at the centre in the clear. The columns are `COLUMNS`; rows are sorted by doc_id.

    Returns:
        Cell -> number of documents; cells that keep nothing back are left out.

    Raises:
        ShardError: a planned document is gone, or another holdout stands under this generation.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = _read_held(plan, documents)
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    for cell, doc_ids in plan.holdout.items():
        table = pa.Table.from_pylist([rows[doc_id] for doc_id in doc_ids], schema=schema)
        key = build_holdout_key(cell, plan.settings.generation)
        if store.has(key):
            if not pq.read_table(store.local_path(key)).equals(table):
                raise ShardError(
                    f"{key} holds another holdout; raise the recipe's shards.generation"
                )
            continue
        out = io.BytesIO()
        pq.write_table(table, out, compression="zstd")
        store.put_bytes(key, out.getvalue())
    return {cell: len(doc_ids) for cell, doc_ids in plan.holdout.items()}


def _read_held(plan: "ShardPlan", documents: Sequence[Path]) -> dict[str, dict[str, str]]:
    rows: dict[str, dict[str, str]] = {}
    wanted = {doc_id for doc_ids in plan.holdout.values() for doc_id in doc_ids}
    for batch in iter_documents(documents, COLUMNS, only=wanted):
        for values in zip(*(batch[name] for name in COLUMNS), strict=True):
            rows[values[0]] = dict(zip(COLUMNS, values, strict=True))
    if missing := sorted(wanted - set(rows)):
        raise ShardError(
            f"{len(missing)} held-out documents are no longer in the corpus (first: {missing[0]}); "
            "plan again"
        )
    return rows
