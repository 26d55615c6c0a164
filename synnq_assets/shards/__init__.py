"""Shards: curated documents become sealed units of training.

In: the corpora room's documents, tokenizer and shard settings, the data steward's keys.
Out: a plan; then, per (language, domain) cell, encrypted shards, signed manifests, and a lineage
from every document to its shard. Documents of the holdout are stored apart, for evaluation.

    tokenizer.py   byte-level BPE: train, load, tokenise documents
    documents.py   read curated documents; cell keys
    survey.py      read every document once: tokens, complexity, cuts
    duplicates.py  the same text from two sources
    spool.py       token ids in an unnamed temporary file
    complexity.py  how hard a document is, as a rank; how alike two sets are
    cut.py         where an oversized document may be cut
    holdout.py     what is kept back for evaluation
    cells.py       small cells roll up, leftovers pass to the parent
    pack.py        documents into bins of equal tokens and equal complexity
    repair.py      exchanges that even out what packing left
    content.py     content address of a shard
    planning.py    from documents to a plan
    plan.py        the plan's values and bytes
    figures.py     the plan in figures
    seal.py        encrypt, wrap, sign; idempotent
    assign.py      encrypt once more, for one order of one node
    shred.py       destroy data keys at rest
    verify.py      check a shard
    lineage.py     where a document is
    probe.py       held-out token rows that submissions are scored on
"""

from synnq_assets.shards.assign import (
    Recipient,
    forget_data_keys,
    remove_sealed,
    seal_for_order,
)
from synnq_assets.shards.holdout import write_holdout
from synnq_assets.shards.lineage import (
    LineageRow,
    build_lineage_key,
    find_document,
    list_documents,
    list_shards,
)
from synnq_assets.shards.plan import PLAN_KEY, PlannedDocument, PlannedShard, ShardPlan
from synnq_assets.shards.planning import plan_shards
from synnq_assets.shards.probe import write_probe
from synnq_assets.shards.seal import Steward, seal_shards
from synnq_assets.shards.tokenizer import train_tokenizer
from synnq_assets.shards.verify import verify_shard

__all__ = [
    "PLAN_KEY",
    "LineageRow",
    "PlannedDocument",
    "PlannedShard",
    "Recipient",
    "ShardPlan",
    "Steward",
    "build_lineage_key",
    "find_document",
    "forget_data_keys",
    "list_documents",
    "list_shards",
    "plan_shards",
    "remove_sealed",
    "seal_for_order",
    "seal_shards",
    "train_tokenizer",
    "verify_shard",
    "write_holdout",
    "write_probe",
]
