"""Where a document that is larger than a shard may be cut: paragraph, line, sentence, word."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

# Best first. A cut falls before the token that holds the first character after the match.
_BOUNDARIES = (
    re.compile(r"\n[ \t]*\n\s*"),
    re.compile(r"\n\s*"),
    re.compile(r"[.!?…;:][\"'»”’)\]]*(?=\s)"),
    re.compile(r"\s+"),
)
_WINDOW = 0.5  # a cut may come this share of an even part before the largest allowed part


def _find_tokens(starts: Ints, positions: Sequence[int]) -> Ints:
    """Return the tokens that begin a part when the text is cut at character positions."""
    holding = np.searchsorted(starts, np.asarray(positions, dtype=np.int64), side="right") - 1
    # Tokens that share a character begin at the same offset: never cut between those.
    return np.unique(np.searchsorted(starts, starts[np.clip(holding, 0, None)], side="left"))


def find_cuts(text: str, starts: Ints, *, max_tokens: int) -> tuple[int, ...]:
    """Return the token index at which each part begins; the first is 0.

    Parts are as even as boundaries allow. The best kind of boundary in reach of an even part wins,
    and of that kind the nearest; text without any white space is cut between characters.

    Args:
        text: the document.
        starts: [num_tokens] character offset of each token's beginning, ascending.
        max_tokens: most tokens of a part, without an end of text.
    """
    num_tokens = len(starts)
    kinds = [_find_tokens(starts, [m.end() for m in kind.finditer(text)]) for kind in _BOUNDARIES]
    kinds.append(np.flatnonzero(np.diff(starts, prepend=-1) > 0))
    begins = [0]
    while (remaining := num_tokens - begins[-1]) > max_tokens:
        even = remaining / -(-remaining // max_tokens)
        low, high = begins[-1] + max(1, int(even * _WINDOW)), begins[-1] + max_tokens
        cut = high
        for kind in kinds:
            near = kind[np.searchsorted(kind, low) : np.searchsorted(kind, high, side="right")]
            if len(near):
                cut = int(near[np.argmin(np.abs(near - (begins[-1] + even)))])
                break
        begins.append(cut)
    return tuple(begins)
