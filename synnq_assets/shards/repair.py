"""Even out bins by moving or exchanging single documents.

Every exchange makes the sum of squared surpluses smaller, and sizes are whole tokens, so it ends.
"""

from collections.abc import Iterator

import numpy as np

from synnq_assets.shards.complexity import Floats, Ints

_MAX_EXCHANGES_PER_BIN = 64
_NOTHING = -1


def repair_loads(
    num_tokens: Ints, bins: Ints, capacities: Floats, target_tokens: int, limit_tokens: float
) -> None:
    """Change `bins` in place until every full bin is within the limit, or nothing helps.

    Args:
        num_tokens: [n] size of each document.
        bins: [n] bin of each document.
        capacities: [num_bins] what each bin should hold; a last, smaller bin is a leftover, whose
            own deviation does not matter.
        target_tokens: what a full bin should hold, by the recipe.
        limit_tokens: by how much a full bin may miss the target.
    """
    num_bins = len(capacities)
    loads = np.bincount(bins, weights=num_tokens, minlength=num_bins)
    is_full = capacities >= capacities[0]
    order = np.argsort(bins, kind="stable")
    members = np.split(order, np.searchsorted(bins[order], np.arange(1, num_bins)))
    for _ in range(_MAX_EXCHANGES_PER_BIN * num_bins):
        misses = np.where(is_full, np.abs(loads - target_tokens), 0.0)
        off = [int(k) for k in np.argsort(-misses, kind="stable") if misses[k] > limit_tokens]
        for giver, taker in _iter_pairs(loads - capacities, off):
            gap = (loads[giver] - capacities[giver] - loads[taker] + capacities[taker]) / 2
            found = _find_exchange(num_tokens, members[giver], members[taker], gap)
            if found is not None:
                break
        else:
            return
        given, taken = found
        bins[given] = taker
        if taken != _NOTHING:
            bins[taken] = giver
        rows = np.sort(np.concatenate([members[giver], members[taker]]))
        for k in (giver, taker):
            members[k] = rows[bins[rows] == k]
            loads[k] = num_tokens[members[k]].sum()


def _iter_pairs(surplus: Floats, off: list[int]) -> Iterator[tuple[int, int]]:
    """Yield (giver, taker) for each bin that is off, with the most unlike partner first."""
    ascending = np.argsort(surplus, kind="stable").tolist()
    for k in off:
        partners = ascending if surplus[k] > 0 else ascending[::-1]
        for partner in partners:
            giver, taker = (k, partner) if surplus[k] > 0 else (partner, k)
            if surplus[giver] > surplus[taker]:
                yield giver, taker


def _find_exchange(
    num_tokens: Ints, givers: Ints, takers: Ints, gap: float
) -> tuple[int, int] | None:
    """Return the exchange (row to give, row to take or -1) that comes nearest to closing the gap.

    Giving d tokens net closes the gap where d equals it, and helps where 0 < d < 2 * gap.
    """
    if len(givers) == 0:
        return None
    by_size = np.argsort(num_tokens[takers], kind="stable")
    rows = np.concatenate([[_NOTHING], takers[by_size]]).astype(np.int64)
    sizes = np.concatenate([[0], num_tokens[takers][by_size]])
    given = num_tokens[givers]
    above = np.searchsorted(sizes, given - gap)
    choices = np.stack([np.clip(above - 1, 0, None), np.clip(above, None, len(sizes) - 1)])
    net = given - sizes[choices]
    misses = np.where((net > 0) & (net < 2 * gap), np.abs(net - gap), np.inf)
    best = int(np.argmin(misses))
    if not np.isfinite(misses.flat[best]):
        return None
    return int(givers[best % len(givers)]), int(rows[choices.flat[best]])
