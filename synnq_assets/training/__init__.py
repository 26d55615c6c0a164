"""The payload: it runs on a node, verifies an order, trains, and answers with a signed submission.

In: a job folder (records/orders.py) and the node's own settings. Out: `submission/`,
`progress.json`.
Importing this package imports no torch, and nothing in it ever imports Dagster.

    __main__.py      `python -m synnq_assets.training ORDER.json --node NODE.yaml`; exit codes
    run.py           run_order: verify, open, train, answer
    folder.py        where everything lies in a job folder
    believing.py     the registry: whose orders count, and is this node still one of it
    verifying.py     is the order ours, is its recipe, are its base files what it names
    opening.py       sealed shards -> token ids, in memory only
    batches.py       windows, epochs and steps; the same for every parallelism and every restart
    loop.py          the training loop
    parallel/        how a step runs: one process, FSDP2, DeepSpeed ZeRO
    strategies.py    which of them a name means
    ranks.py         the processes of one job
    checkpoints.py   the payload's own checkpoints, to go on after an interruption
    interrupts.py    signals that ask for a checkpoint
    logs.py          training log, diagnostics and metrics, as Parquet and as a record
    diagnostics.py   what the host does, sampled beside the training
    counters.py      accelerator load, power and energy, where the machine offers them
    progress.py      the progress file
    output.py        all other output stays in the node's own log folder
    answering.py     the weight update and the signed submission

No text leaves: files hold registered figures, failures are codes. Shards are opened in memory:
their plaintext never touches the disk, except where the host itself swaps. Of an order, the node
keeps its folder: sealed shards, base checkpoint, submission. Own checkpoints in `work/` are
weights; they are removed once the submission is written.
"""

from synnq_assets.training.interrupts import RequeueError
from synnq_assets.training.run import run_order

__all__ = ["RequeueError", "run_order"]
