"""Read every document once: how many tokens, how complex, and where it may be cut."""

import hashlib
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from synnq_assets.errors import ShardError
from synnq_assets.shards.complexity import (
    Floats,
    Ints,
    build_surprise_table,
    measure_type_token_ratio,
    measure_zlib_ratio,
    rank_complexity,
)
from synnq_assets.shards.cut import find_cuts
from synnq_assets.shards.documents import build_cell_key, parse_cell_key, verify_document_id
from synnq_assets.shards.spool import TokenSpool
from synnq_assets.shards.tokenizer import iter_tokenized

if TYPE_CHECKING:
    from tokenizers import Tokenizer

COLUMNS = ("doc_id", "language", "domain", "source", "text")
PART_SHARE = 0.5  # of the target: the most that a part of an oversized document holds


def digest_text(text: str) -> bytes:
    """Return the SHA-256 of a text's words in their order; 32 bytes."""
    words = unicodedata.normalize("NFC", " ".join(text.split()))
    return hashlib.sha256(words.encode()).digest()


@dataclass(frozen=True)
class SurveyedDocument:
    """One document, without its text."""

    doc_id: str
    source: str
    text_digest: bytes
    cell: str  # original cell
    num_tokens: int  # end of text included
    cuts: tuple[int, ...]  # token at which each part begins; (0,) for a document left whole
    type_token_ratio: float
    zlib_ratio: float

    def list_parts(self) -> list[tuple[int, int]]:
        """Return (first token, tokens with an end of text) of each part."""
        ends = [*self.cuts[1:], self.num_tokens - 1]
        return [(begin, end - begin + 1) for begin, end in zip(self.cuts, ends, strict=True)]


def survey_documents(
    documents: Sequence[Path], tokenizer: "Tokenizer", target_tokens: int, spool: TokenSpool
) -> list[SurveyedDocument]:
    """Tokenise all documents into the spool, and return what packing needs, in their order.

    A document is cut only if it is larger than a shard; its parts are at most half a shard, so that
    they find room beside others.

    Raises:
        ShardError: no document, a malformed id or cell, or a document that comes twice.
    """
    surveyed = []
    for row, tokens in iter_tokenized(documents, tokenizer, COLUMNS):
        cell = build_cell_key(row["language"], row["domain"])
        parse_cell_key(cell)
        spool.append(verify_document_id(row["doc_id"]), tokens)
        cuts: tuple[int, ...] = (0,)
        if len(tokens) > target_tokens:
            offsets = tokenizer.encode(row["text"], add_special_tokens=False).offsets
            starts = np.array([begin for begin, _ in offsets], dtype=np.int64)
            cuts = find_cuts(row["text"], starts, max_tokens=int(target_tokens * PART_SHARE) - 1)
        surveyed.append(
            SurveyedDocument(
                doc_id=row["doc_id"],
                source=sys.intern(row["source"]),
                text_digest=digest_text(row["text"]),
                cell=cell,
                num_tokens=len(tokens),
                cuts=cuts,
                type_token_ratio=measure_type_token_ratio(tokens),
                zlib_ratio=measure_zlib_ratio(row["text"]),
            )
        )
    if not surveyed:
        raise ShardError("no document came in; materialise a curated corpus first")
    return surveyed


def measure_complexity(
    surveyed: Sequence[SurveyedDocument], vocab_size: int, spool: TokenSpool
) -> Floats:
    """Return the complexity of each document, a mean rank within its language in (0, 1); [n]."""
    languages = [parse_cell_key(document.cell)[0] for document in surveyed]
    counts: defaultdict[str, Ints] = defaultdict(lambda: np.zeros(vocab_size, dtype=np.int64))
    for document, language in zip(surveyed, languages, strict=True):
        counts[language] += np.bincount(spool.read(document.doc_id), minlength=vocab_size)
    tables = {language: build_surprise_table(count) for language, count in counts.items()}
    measures = np.array(
        [
            (
                tables[language][spool.read(document.doc_id)].mean(),
                document.type_token_ratio,
                document.zlib_ratio,
            )
            for document, language in zip(surveyed, languages, strict=True)
        ]
    )
    return rank_complexity(measures, languages)
