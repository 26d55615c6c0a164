"""The probe: held-out rows of token ids that every submission is scored on."""

import io
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from synnq_assets.errors import ShardError
from synnq_assets.shards.tokenizer import load_tokenizer
from synnq_assets.storage.objects import ObjectStore
from synnq_assets.storage.tokens import END_OF_TEXT

HOLDOUT_PREFIX = "shards/holdout"


def write_probe(
    store: ObjectStore, tokenizer: Path, *, num_tokens: int, sequence_tokens: int, key: str
) -> int:
    """Write about `num_tokens` held-out tokens as rows, cells in turn; return the row count.

    Shapes: `.npy` of [rows, sequence_tokens] int32.

    Raises:
        ShardError: nothing was held out.
    """
    encoder = load_tokenizer(tokenizer)
    cells = []
    for name in store.iter_keys(HOLDOUT_PREFIX):
        texts = pq.read_table(store.local_path(name), columns=["text"])["text"].to_pylist()
        ids = [i for item in encoder.encode_batch(texts) for i in (*item.ids, END_OF_TEXT)]
        rows = len(ids) // sequence_tokens
        cells.append(np.array(ids[: rows * sequence_tokens], np.int32).reshape(rows, -1))
    turns = zip_longest(*cells)
    rows_BT = [row for turn in turns for row in turn if row is not None]
    rows_BT = rows_BT[: max(1, num_tokens // sequence_tokens)]
    if not rows_BT:
        raise ShardError("no held-out text is long enough for a probe; raise shards.holdout_share")
    buffer = io.BytesIO()
    np.save(buffer, np.stack(rows_BT), allow_pickle=False)
    store.put_bytes(key, buffer.getvalue())
    return len(rows_BT)
