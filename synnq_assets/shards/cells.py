"""Which cell a document ends up in: small cells roll up, and leftovers pass to the parent.

    de.law  ->  de.mixed  ->  mul.mixed

A cell that cannot fill its minimum of shards passes to its parent whole. A cell whose tokens make
no whole number of shards passes a leftover that is stratified like its shards. What the last cell
leaves over is the residual: one shard, which may be short.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from synnq_assets.settings.recipe import ShardSettings
from synnq_assets.shards.complexity import Ints, measure_distances
from synnq_assets.shards.documents import build_cell_key, parse_cell_key
from synnq_assets.shards.pack import Division, Pool, divide_tokens, pack_pool

MIXED_DOMAIN = "mixed"
MIXED_LANGUAGE = "mul"
LAST_CELL = build_cell_key(MIXED_LANGUAGE, MIXED_DOMAIN)


@dataclass(frozen=True)
class PackedRows:
    """Rows of the pool that make one shard."""

    cell: str
    rows: Ints
    distance: float  # Kolmogorov-Smirnov, of complexity, from all documents of the cell
    is_residual: bool = False


@dataclass
class Arrangement:
    """All shards, and what did not stay in its own cell."""

    shards: list[PackedRows] = field(default_factory=list)
    homes: dict[str, str] = field(default_factory=dict)  # original cell -> cell it was packed as
    passed_up_tokens: dict[str, int] = field(default_factory=dict)  # cell -> leftover it passed on


def arrange_cells(pool: Pool, names: Sequence[str], settings: ShardSettings) -> Arrangement:
    """Return the shards of all cells; every row of the pool is in exactly one of them.

    Args:
        pool: documents and parts, none larger than the target.
        names: key of each original cell, by its number in `pool.strata`.
        settings: target, tolerance and the smallest cell.
    """
    arrangement = Arrangement(homes={name: name for name in names})
    order = np.argsort(pool.strata, kind="stable")
    edges = np.searchsorted(pool.strata[order], np.arange(1, len(names)))
    current = dict(zip(names, np.split(order, edges), strict=True))
    for level in range(2):
        following: defaultdict[str, list[Ints]] = defaultdict(list)
        for cell, rows in sorted(current.items()):
            language = MIXED_LANGUAGE if level else parse_cell_key(cell)[0]
            parent = build_cell_key(language, MIXED_DOMAIN)
            following[parent].append(_settle_cell(pool, cell, rows, parent, settings, arrangement))
        current = {cell: np.sort(np.concatenate(parts)) for cell, parts in following.items()}
    _settle_last(pool, current[LAST_CELL], settings, arrangement)
    return arrangement


def _settle_cell(
    pool: Pool,
    cell: str,
    rows: Ints,
    parent: str,
    settings: ShardSettings,
    arrangement: Arrangement,
) -> Ints:
    """Add the shards of one cell; return the rows that pass to its parent."""
    total = int(pool.num_tokens[rows].sum())
    if cell == parent or total == 0:
        return rows
    if total < settings.min_cell_shards * settings.target_tokens:
        for name, home in arrangement.homes.items():
            if home == cell:
                arrangement.homes[name] = parent
        return rows
    division = divide_tokens(total, settings.target_tokens, settings.tolerance)
    shards, leftover = _fill_shards(pool, cell, rows, division, settings)
    arrangement.shards += shards
    if leftover is None:
        return rows[:0]
    arrangement.passed_up_tokens[cell] = int(pool.num_tokens[leftover.rows].sum())
    return leftover.rows


def _settle_last(pool: Pool, rows: Ints, settings: ShardSettings, arrangement: Arrangement) -> None:
    """Add the shards of the last cell; its leftover is the residual shard."""
    total = int(pool.num_tokens[rows].sum())
    if total == 0:
        return
    division = divide_tokens(total, settings.target_tokens, settings.tolerance)
    if division.num_shards == 0:
        arrangement.shards.append(PackedRows(LAST_CELL, rows, 0.0, is_residual=True))
        return
    shards, leftover = _fill_shards(pool, LAST_CELL, rows, division, settings)
    arrangement.shards += shards
    if leftover is not None:
        arrangement.shards.append(leftover)


def _fill_shards(
    pool: Pool, cell: str, rows: Ints, division: Division, settings: ShardSettings
) -> tuple[list[PackedRows], PackedRows | None]:
    """Return the full shards of a cell, and its leftover if it has one."""
    part = pool.take(rows)
    bins = pack_pool(
        part, division, target_tokens=settings.target_tokens, tolerance=settings.tolerance
    )
    num_bins = division.num_shards + 1
    distances = measure_distances(part.complexity, part.num_tokens, bins, num_bins)
    order = np.argsort(bins, kind="stable")
    groups = np.split(rows[order], np.searchsorted(bins[order], np.arange(1, num_bins)))
    packed = [
        PackedRows(cell, group, float(distance), is_residual=k == division.num_shards)
        for k, (group, distance) in enumerate(zip(groups, distances, strict=True))
        if len(group)
    ]
    if packed[-1].is_residual:
        return packed[:-1], packed[-1]
    return packed, None
