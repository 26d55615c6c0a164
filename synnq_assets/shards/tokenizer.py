"""The federation's tokenizer: byte-level BPE, trained on the curated text.

Byte-level, so that every text of every language has a token sequence and decodes to itself.
Sources: Sennrich et al. 2016 (arXiv:1508.07909); Radford et al. 2019, §2.2 (bytes as the base).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from synnq_assets.errors import ShardError
from synnq_assets.records.base import sha256_hex
from synnq_assets.settings.recipe import TokenizerSettings
from synnq_assets.shards.documents import iter_documents
from synnq_assets.storage.files import write_atomically
from synnq_assets.storage.tokens import END_OF_TEXT

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END_OF_TEXT_NAME = "<|endoftext|>"

Tokens = npt.NDArray[np.uint32]


def _select_training_text(documents: Sequence[Path], max_characters: int) -> list[str]:
    """Return texts in order of doc_id up to a budget; ids are hashes, so this is a fair sample."""
    sizes: dict[str, int] = {}
    for batch in iter_documents(documents, ["doc_id", "text"]):
        sizes.update(zip(batch["doc_id"], map(len, batch["text"]), strict=True))
    budget, shares = max_characters, dict[str, int]()
    for doc_id in sorted(sizes):
        if budget <= 0:
            break
        shares[doc_id] = min(sizes[doc_id], budget)
        budget -= shares[doc_id]
    texts: dict[str, str] = {}
    for batch in iter_documents(documents, ["doc_id", "text"], only=shares):
        for doc_id, text in zip(batch["doc_id"], batch["text"], strict=True):
            texts[doc_id] = text[: shares[doc_id]]
    return [texts[doc_id] for doc_id in sorted(texts)]


def train_tokenizer(documents: Sequence[Path], settings: TokenizerSettings, out: Path) -> str:
    """Train a tokenizer and write it as one `tokenizer.json`.

    The same documents give the same bytes, whatever the order of files and rows. A corpus with too
    few distinct words gives a smaller vocabulary than was asked for.

    Args:
        documents: Parquet files of curated documents.
        settings: vocabulary size, and how many characters are read at most.
        out: the file to write.

    Returns:
        The SHA-256 (hex) of the file.

    Raises:
        ShardError: no text came in.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    texts = _select_training_text(documents, settings.max_training_characters)
    if not any(texts):
        raise ShardError("no text to train a tokenizer on; materialise a curated corpus first")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocab_size,
        special_tokens=[END_OF_TEXT_NAME],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    data = tokenizer.to_str(pretty=True).encode()
    write_atomically(out, data)
    return sha256_hex(data)


def load_tokenizer(path: Path) -> "Tokenizer":
    """Return a tokenizer that reads its own special tokens, when they occur in text, as text.

    Otherwise a document that quotes the end-of-text token would end before its end.

    Raises:
        ShardError: not a tokenizer file, or its id 0 is not the end of text.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise ShardError(f"{path} is not a tokenizer file: {error}") from error
    if tokenizer.token_to_id(END_OF_TEXT_NAME) != END_OF_TEXT:
        raise ShardError(f"{path}: id {END_OF_TEXT} must be {END_OF_TEXT_NAME}; train it here")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer


def iter_tokenized(
    documents: Sequence[Path],
    tokenizer: "Tokenizer",
    columns: Sequence[str],
    *,
    only: set[str] | None = None,
) -> Iterator[tuple[dict[str, Any], Tokens]]:
    """Yield (row, tokens) of each document; tokens end with the end of text.

    Shapes: tokens [num_tokens] uint32. `columns` must hold `text`; rows are dicts of columns.
    """
    for batch in iter_documents(documents, columns, only=only):
        encodings = tokenizer.encode_batch_fast(batch["text"], add_special_tokens=False)
        for k, encoding in enumerate(encodings):
            row = {name: values[k] for name, values in batch.items()}
            yield row, np.array([*encoding.ids, END_OF_TEXT], dtype=np.uint32)
