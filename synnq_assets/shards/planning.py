"""From documents to a plan.

Everything in a plan follows from the documents, the tokenizer and the settings; the order in which
documents arrive changes nothing.
"""

import hmac
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from synnq_assets.errors import ShardError
from synnq_assets.settings.recipe import ShardSettings
from synnq_assets.shards.cells import PackedRows, arrange_cells
from synnq_assets.shards.complexity import Floats
from synnq_assets.shards.content import build_leaf, build_shard_id, digest_config
from synnq_assets.shards.duplicates import leave_out_duplicates
from synnq_assets.shards.holdout import select_holdout
from synnq_assets.shards.pack import Pool
from synnq_assets.shards.plan import PlannedDocument, PlannedShard, ShardPlan
from synnq_assets.shards.spool import TokenSpool
from synnq_assets.shards.survey import SurveyedDocument, measure_complexity, survey_documents
from synnq_assets.shards.tokenizer import load_tokenizer
from synnq_assets.storage.files import hash_file


def plan_shards(documents: Sequence[Path], tokenizer: Path, settings: ShardSettings) -> ShardPlan:
    """Decide the shards of a generation: compare, hold out, cut, roll up, pack, order, and name.

    Memory holds one row per document and one batch of text; tokens wait in TMPDIR (4 bytes each).

    Args:
        documents: Parquet files of curated documents.
        tokenizer: the federation's `tokenizer.json`.
        settings: target, tolerance, smallest cell, generation and holdout share.

    Raises:
        ShardError: no document, a document that comes twice, or a file that cannot be read.
    """
    loaded = load_tokenizer(tokenizer)
    with TokenSpool() as spool:
        every = survey_documents(documents, loaded, settings.target_tokens, spool)
        surveyed, duplicates = leave_out_duplicates(every)
        complexity = measure_complexity(surveyed, loaded.get_vocab_size(), spool)
        plan = _build_plan(surveyed, complexity, spool, hash_file(tokenizer)[0], settings)
        return replace(plan, duplicates=duplicates)


def _build_plan(
    surveyed: Sequence[SurveyedDocument],
    complexity: Floats,
    spool: TokenSpool,
    tokenizer_sha256: str,
    settings: ShardSettings,
) -> ShardPlan:
    by_cell: defaultdict[str, list[str]] = defaultdict(list)
    for document in surveyed:
        by_cell[document.cell].append(document.doc_id)
    holdout = select_holdout(by_cell, settings.holdout_share)
    num_tokens = {document.doc_id: document.num_tokens for document in surveyed}
    held = {doc_id for doc_ids in holdout.values() for doc_id in doc_ids}
    kept = [k for k, document in enumerate(surveyed) if document.doc_id not in held]
    if not kept:
        raise ShardError("the holdout takes every document; lower shards.holdout_share")
    names = sorted({surveyed[k].cell for k in kept})
    entries, pool = _build_pool([surveyed[k] for k in kept], complexity[kept], names)
    arrangement = arrange_cells(pool, names, settings)
    config_sha256 = digest_config(settings)
    cells: defaultdict[str, list[PlannedShard]] = defaultdict(list)
    for packed in arrangement.shards:
        members = [entries[k] for k in packed.rows]
        members.sort(key=lambda entry: _place_in_shard(entry, config_sha256))
        leaves = [build_leaf(d.doc_id, d.part, spool.read_part(d)) for d in members]
        shard_id = build_shard_id(leaves, tokenizer_sha256, config_sha256)
        cells[packed.cell].append(_build_shard(packed, members, shard_id, pool))
    return ShardPlan(
        cells={cell: tuple(cells[cell]) for cell in sorted(cells)},
        holdout=holdout,
        holdout_tokens={cell: sum(num_tokens[i] for i in ids) for cell, ids in holdout.items()},
        rolled_up={name: home for name, home in arrangement.homes.items() if name != home},
        passed_up_tokens=arrangement.passed_up_tokens,
        tokenizer_sha256=tokenizer_sha256,
        config_sha256=config_sha256,
        settings=settings,
    )


def _build_pool(
    surveyed: Sequence[SurveyedDocument], complexity: Floats, names: Sequence[str]
) -> tuple[list[PlannedDocument], Pool]:
    """Return one entry per part, by doc_id and part, and the same as arrays."""
    numbers = {name: k for k, name in enumerate(names)}
    entries, owners = [], []
    for k, document in enumerate(surveyed):
        parts = document.list_parts()
        for part, (begin, num_tokens) in enumerate(parts, start=1):
            entries.append(PlannedDocument(document.doc_id, part, len(parts), begin, num_tokens))
            owners.append(k)
    strata = np.array([numbers[document.cell] for document in surveyed], dtype=np.int64)
    sizes = np.array([entry.num_tokens for entry in entries], dtype=np.int64)
    return entries, Pool(sizes, complexity[owners], strata[owners])


def _place_in_shard(entry: PlannedDocument, config_sha256: str) -> bytes:
    """Return the sort key that shuffles a shard, the same way every time."""
    message = f"{entry.doc_id}\0{entry.part}".encode()
    return hmac.digest(bytes.fromhex(config_sha256), message, "sha256")


def _build_shard(
    packed: PackedRows, members: Sequence[PlannedDocument], shard_id: str, pool: Pool
) -> PlannedShard:
    weights = pool.num_tokens[packed.rows]
    return PlannedShard(
        cell=packed.cell,
        shard_id=shard_id,
        documents=tuple(members),
        num_tokens=int(weights.sum()),
        complexity=float(np.average(pool.complexity[packed.rows], weights=weights)),
        complexity_distance=packed.distance,
        is_residual=packed.is_residual,
    )
