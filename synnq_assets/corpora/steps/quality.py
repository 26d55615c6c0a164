"""Quality: thresholds on lengths, letters, words and repetition.

The measures follow J. Rae et al., "Scaling Language Models: ... Gopher" (2021), table A1; the
thresholds are the recipe's, since the published ones refuse most European law and most Finnish.
"""

import functools
from collections import Counter, defaultdict

import numpy as np
from numpy.typing import NDArray

from synnq_assets.corpora.documents import Document
from synnq_assets.corpora.steps.base import Answer, Drop, Keep, Step
from synnq_assets.settings.recipe import CorpusSettings

SEQUENCE_WORDS = 5
NUM_CODE_POINTS = 0x110000


class QualityStep(Step):
    """Keeps texts that look like prose of some kind."""

    name = "quality"

    def __init__(self, corpus: CorpusSettings) -> None:
        """Take the thresholds."""
        self._limits = corpus.quality

    def judge(self, document: Document) -> Answer:
        """Drop the first of `too-short`, `too-long`, `few-letters`, `word-length`, `repeated-*`."""
        limits, text = self._limits, document.text
        num_characters = len(text.strip())
        if num_characters < limits.min_characters:
            return Drop("too-short", f"{num_characters} characters")
        if num_characters > limits.max_characters:
            return Drop("too-long", f"{num_characters} characters")
        letters = letter_share(text)
        if letters < limits.min_letter_share:
            return Drop("few-letters", f"letter share {letters:.2f}")
        words = text.split()
        mean = sum(map(len, words)) / len(words)
        if not limits.min_mean_word_characters <= mean <= limits.max_mean_word_characters:
            return Drop("word-length", f"mean {mean:.1f} characters")
        lines = repeated_line_share(text)
        if lines > limits.max_repeated_line_share:
            return Drop("repeated-lines", f"share {lines:.2f}")
        phrase = repeated_sequence_share(words, limits.max_repeated_ngram_share)
        if phrase > limits.max_repeated_ngram_share:
            return Drop("repeated-phrase", f"share {phrase:.2f}")
        return Keep(document)


def letter_share(text: str) -> float:
    """Return the share of letters among characters that are not white space; 0.0 if none."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    is_letter, is_space = _character_classes()
    visible = codes.size - int(is_space[codes].sum())
    return int(is_letter[codes].sum()) / visible if visible else 0.0


def repeated_line_share(text: str) -> float:
    """Return the share of non-empty lines that repeat an earlier line."""
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    return 1.0 - len(set(lines)) / len(lines) if lines else 0.0


def repeated_sequence_share(words: list[str], worth_knowing: float = 0.0) -> float:
    """Return the share of characters that the commonest five-word sequence covers.

    A character counts once, however many occurrences overlap on it, and nothing counts where no
    sequence occurs twice. A sequence cannot cover more than its five words do in the whole text, so
    where the five heaviest words stay below `worth_knowing` that bound is returned: one count of
    words instead of one of sequences.
    """
    total = sum(map(len, words))
    if len(words) <= SEQUENCE_WORDS or not total:
        return 0.0
    heaviest = sorted((n * len(word) for word, n in Counter(words).items()), reverse=True)
    bound = sum(heaviest[:SEQUENCE_WORDS]) / total
    if bound <= worth_knowing:
        return bound
    places: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, sequence in enumerate(
        zip(*(words[k:] for k in range(SEQUENCE_WORDS)), strict=False)
    ):
        places[sequence].append(index)
    commonest = max(places.values(), key=len)
    if len(commonest) < 2:
        return 0.0
    covered = {place + offset for place in commonest for offset in range(SEQUENCE_WORDS)}
    return sum(len(words[index]) for index in covered) / total


@functools.lru_cache(maxsize=1)
def _character_classes() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    characters = [chr(code) for code in range(NUM_CODE_POINTS)]
    is_letter = np.fromiter(map(str.isalpha, characters), dtype=np.bool_, count=NUM_CODE_POINTS)
    is_space = np.fromiter(map(str.isspace, characters), dtype=np.bool_, count=NUM_CODE_POINTS)
    return is_letter, is_space
