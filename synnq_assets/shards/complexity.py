"""How hard a document is to predict, as a rank within its language.

The mean of three ranks: unigram surprise under the language's own token counts, type-token ratio
over the first thousand tokens, and how little zlib can save. They are weakly correlated, so none is
redundant; ranks make them comparable, and comparable across languages.
"""

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from synnq_assets.shards.tokenizer import Tokens

TYPE_TOKEN_WINDOW = 1_000
ZLIB_BYTES = 20_000

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def measure_type_token_ratio(tokens: Tokens) -> float:
    """Return distinct tokens over tokens, within the first `TYPE_TOKEN_WINDOW`; in (0, 1]."""
    window = tokens[:TYPE_TOKEN_WINDOW]
    return len(np.unique(window)) / max(1, len(window))


def measure_zlib_ratio(text: str) -> float:
    """Return compressed over raw bytes (zlib, level 1) of the first `ZLIB_BYTES` of UTF-8."""
    data = text[:ZLIB_BYTES].encode()[:ZLIB_BYTES]
    return len(zlib.compress(data, level=1)) / max(1, len(data))


def build_surprise_table(counts: Ints) -> Floats:
    """Return -log of each token's share; counts [vocab] -> [vocab], 0 where never seen.

    Units: nats.
    """
    shares = counts / max(1, int(counts.sum()))
    return np.where(counts > 0, -np.log(np.where(counts > 0, shares, 1.0)), 0.0)


def rank_shares(values: Floats) -> Floats:
    """Return the mid-rank of each value as a share in (0, 1); equal values share a rank.

    Shapes: [n] -> [n]. Example: [3, 1, 1, 9] -> [0.625, 0.25, 0.25, 0.875].
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle: Floats = (np.cumsum(counts) - counts / 2) / max(1, len(values))
    return middle[inverse]


def rank_complexity(measures: Floats, languages: Sequence[str]) -> Floats:
    """Return the mean rank of the measures within each language; [n, 3] -> [n] in (0, 1)."""
    names = np.asarray(languages)
    complexity = np.zeros(len(names))
    for language in np.unique(names):
        rows = np.flatnonzero(names == language)
        ranks = [rank_shares(measures[rows, k]) for k in range(measures.shape[1])]
        complexity[rows] = np.mean(ranks, axis=0)
    return complexity


def measure_distances(complexity: Floats, num_tokens: Ints, bins: Ints, num_bins: int) -> Floats:
    """Return, per bin, the Kolmogorov-Smirnov distance of its complexity from that of all bins.

    Distributions are weighted by tokens. Shapes: [n], [n], [n] -> [num_bins], in [0, 1].
    """
    levels, level_of = np.unique(complexity, return_inverse=True)
    mass = np.bincount(level_of, weights=num_tokens, minlength=len(levels))
    whole = np.concatenate([[0.0], np.cumsum(mass) / mass.sum()])  # share below each level
    order = np.lexsort((level_of, bins))
    edges = np.searchsorted(bins[order], np.arange(num_bins + 1))
    distances = np.zeros(num_bins)
    for k in range(num_bins):
        rows = order[edges[k] : edges[k + 1]]
        if len(rows) == 0:
            distances[k] = 1.0
            continue
        own, first = np.unique(level_of[rows], return_index=True)
        below = np.concatenate([[0], np.cumsum(num_tokens[rows])])
        before = below[first] / below[-1]
        after = np.append(before[1:], 1.0)
        # Between its own levels a bin's curve is flat, so the gap is widest at one of their ends.
        gaps = [np.abs(before - whole[own]).max(), np.abs(after - whole[own + 1]).max()]
        distances[k] = max(gaps)
    return distances
