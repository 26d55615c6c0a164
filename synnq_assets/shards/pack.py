"""Deal documents into bins of equal token counts and equal complexity.

Large documents are dealt in blocks of equal complexity, one per bin, largest to the neediest. Small
ones are dealt within complexity quantiles by longest-processing-time-first, each bin's quota of a
quantile being its share of what it still needs, so that imbalance is repaid evenly over quantiles.
Exchanges between fullest and emptiest bins repair what remains.

Guarantees, where small documents can fill the gaps: every bin within the tolerance; a distance of
complexity of at most 1 / quantiles + largest document / bin. Rows are in a fixed order (by document
id), which breaks every tie, so the order of input changes nothing.

Source: Graham 1969, Bounds on multiprocessing timing anomalies (LPT), doi:10.1137/0117039.
"""

import heapq
from dataclasses import dataclass

import numpy as np

from synnq_assets.shards.complexity import Floats, Ints
from synnq_assets.shards.repair import repair_loads

NUM_QUANTILES = 32
LARGE_SHARE = 1 / (8 * NUM_QUANTILES)  # of the target; larger documents are dealt in blocks
DIVISION_SHARE = 0.8  # of the tolerance that the mean may use up; the rest is left to packing


@dataclass(frozen=True)
class Pool:
    """Documents to pack: parallel arrays [n], rows in order of document id and part."""

    num_tokens: Ints
    complexity: Floats
    strata: Ints  # original cell, as a number; each bin gets its share of every stratum

    def take(self, rows: Ints) -> "Pool":
        """Return the pool of some rows, in their order."""
        return Pool(self.num_tokens[rows], self.complexity[rows], self.strata[rows])


@dataclass(frozen=True)
class Division:
    """How many shards a cell fills, and what it passes to its parent cell."""

    num_shards: int
    leftover_tokens: int


def divide_tokens(total_tokens: int, target_tokens: int, tolerance: float) -> Division:
    """Return the number of equal shards nearest the target, or full ones and a leftover.

    Example: 39 tokens at target 10 and tolerance 0.1 make 4 shards (9.75 each); 35 make 3 shards
    of 10 and a leftover of 5.
    """
    low = total_tokens // target_tokens
    misses = {k: abs(total_tokens / k - target_tokens) for k in (max(1, low), low + 1)}
    nearest = min(misses, key=lambda k: (misses[k], k))
    if misses[nearest] <= DIVISION_SHARE * tolerance * target_tokens:
        return Division(nearest, 0)
    return Division(low, total_tokens - low * target_tokens)


def pack_pool(pool: Pool, division: Division, *, target_tokens: int, tolerance: float) -> Ints:
    """Return the bin of each row: [n] in 0..num_shards, where num_shards is the leftover.

    Args:
        pool: documents, none larger than the target.
        division: number of shards (at least 1) and tokens to leave over.
        target_tokens: tokens of a full shard.
        tolerance: share of the target that a shard may miss.
    """
    total = int(pool.num_tokens.sum())
    full = (total - division.leftover_tokens) / division.num_shards
    capacities = np.full(division.num_shards, full)
    if division.leftover_tokens:
        capacities = np.append(capacities, float(division.leftover_tokens))
    needs, bins = capacities.copy(), np.full(len(pool.num_tokens), -1, dtype=np.int64)
    order = np.lexsort((pool.complexity, pool.strata))
    is_large = pool.num_tokens[order] > LARGE_SHARE * target_tokens
    _deal_blocks(pool, order[is_large], needs, bins)
    _deal_quantiles(pool, order[~is_large], needs, bins)
    limit_tokens = tolerance * target_tokens
    repair_loads(pool.num_tokens, bins, capacities, target_tokens, limit_tokens)
    return bins


def _deal_blocks(pool: Pool, order: Ints, needs: Floats, bins: Ints) -> None:
    """Deal blocks of neighbours in complexity, one document to each bin of the block.

    A smaller bin (the leftover) takes part in proportionately fewer blocks.
    """
    shares = needs / needs.max()
    credits = np.zeros(len(needs))
    position = 0
    while position < len(order):
        credits += shares
        dealt = np.flatnonzero(credits >= 1 - 1e-9)
        credits[dealt] -= 1
        block = order[position : position + len(dealt)]
        position += len(block)
        block = block[np.lexsort((block, -pool.num_tokens[block]))]
        receivers = dealt[np.argsort(-needs[dealt], kind="stable")][: len(block)]
        bins[block] = receivers
        needs[receivers] -= pool.num_tokens[block]


def _number_quantiles(pool: Pool, order: Ints) -> Ints:
    """Return the quantile of each row of `order`, numbered through all strata; by token mass."""
    tokens, strata = pool.num_tokens[order], pool.strata[order]
    _, first, inverse = np.unique(strata, return_index=True, return_inverse=True)
    middle = np.cumsum(tokens) - tokens / 2
    ends = np.append(np.cumsum(tokens)[first[1:] - 1], tokens.sum())
    begins = np.concatenate([[0], ends[:-1]])
    share = (middle - begins[inverse]) / (ends - begins)[inverse]
    quantiles: Ints = inverse * NUM_QUANTILES + (share * NUM_QUANTILES).astype(np.int64)
    return quantiles


def _deal_quantiles(pool: Pool, order: Ints, needs: Floats, bins: Ints) -> None:
    """Deal each quantile by LPT on quotas; the last quantile repays what is left."""
    if len(order) == 0:
        return
    quantiles = _number_quantiles(pool, order)
    by_size = np.lexsort((order, -pool.num_tokens[order], quantiles))
    order, quantiles = order[by_size], quantiles[by_size]
    remaining = float(pool.num_tokens[order].sum())
    for rows in np.split(order, np.flatnonzero(np.diff(quantiles)) + 1):
        tokens = pool.num_tokens[rows]
        mass = float(tokens.sum())
        chosen = _choose_neediest(tokens, needs * (mass / remaining))
        bins[rows] = chosen
        needs -= np.bincount(chosen, weights=tokens, minlength=len(needs))
        remaining -= mass


def _choose_neediest(tokens: Ints, quotas: Floats) -> Ints:
    """Return the bin of each document: whichever has most of its quota open, in turn."""
    heap = [(-quota, k) for k, quota in enumerate(quotas.tolist())]
    heapq.heapify(heap)
    chosen = []
    replace = heapq.heapreplace
    for size in tokens.tolist():
        filled, k = heap[0]
        replace(heap, (filled + size, k))
        chosen.append(k)
    return np.array(chosen, dtype=np.int64)
