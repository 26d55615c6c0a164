"""Tokenizer, plan, and the signed, sealed shards: one partition per (language, domain) cell."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg

from synnq_assets.defs.corpora import newest_corpus
from synnq_assets.defs.partitions import cells, verify_partition_keys
from synnq_assets.defs.recording import AUDIT_INDEX, SHA256, build_result, recorded, render_table
from synnq_assets.defs.resources import HomeResource
from synnq_assets.errors import EmptyCorpusError
from synnq_assets.records.base import canonical_json, parse_strict_json, sha256_hex
from synnq_assets.records.corpora import CurationReport
from synnq_assets.shards import (
    PLAN_KEY,
    ShardPlan,
    Steward,
    build_lineage_key,
    plan_shards,
    seal_shards,
    train_tokenizer,
    write_holdout,
    write_probe,
)
from synnq_assets.shards.figures import build_figures
from synnq_assets.storage.files import describe_file
from synnq_assets.trust import Home

GROUP = "shards"
TOKENIZER = "tokenizer/tokenizer.json"
PLAN = PLAN_KEY
PROBE = "shards/probe.npy"
CORPORA = "shards/corpora.json"


def planned_corpora(opened: Home) -> list[tuple[str, CurationReport]]:
    """Return (folder, report) of the corpora that the campaign is made from.

    Once shards were planned these are fixed: a later curation waits for the next generation.
    """
    names = [source.name for source in opened.settings.recipe.corpus.sources]
    if not names:
        raise EmptyCorpusError("the recipe names no corpus source")
    if not opened.store.has(CORPORA):
        return [newest_corpus(opened, name) for name in names]
    folders: list[str] = parse_strict_json(opened.store.get_bytes(CORPORA))
    return [
        (folder, opened.ledger.get(f"{folder}/report.json", CurationReport, roles=("steward",)))
        for folder in folders
    ]


def corpus_files(opened: Home) -> list[Path]:
    """Return the kept documents of the campaign's corpora, as files."""
    return [
        opened.store.local_path(f"{folder}/documents.parquet")
        for folder, _ in planned_corpora(opened)
    ]


@dg.asset(deps=["curated_corpus"], group_name=GROUP, kinds={"huggingface"}, code_version="1")
def tokenizer(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """Byte-level BPE, trained on the curated text of all sources; fixed for the campaign."""
    opened = home.open()
    settings = opened.settings.recipe.tokenizer
    with recorded(context, opened, "tokenizer") as deed:
        if not opened.store.has(TOKENIZER):
            building = opened.store.reserve(TOKENIZER)
            train_tokenizer(corpus_files(opened), settings, building)
            opened.store.put_file(TOKENIZER, building)
        sha256 = describe_file(opened.store.local_path(TOKENIZER)).sha256
        deed.details.update(sha256=sha256, vocab_size=settings.vocab_size)
    metadata = {
        "vocabulary": settings.vocab_size,
        "dagster/uri": str(opened.store.local_path(TOKENIZER)),
    }
    return build_result(deed, sha256=sha256, metadata=metadata)


@dg.asset(deps=["curated_corpus", "tokenizer"], group_name=GROUP, code_version="1")
def shard_plan(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """Which document goes into which shard; a few are kept back for evaluation and probes."""
    opened = home.open()
    recipe = opened.settings.recipe
    tokenizer_file = opened.store.local_path(TOKENIZER)
    with recorded(context, opened, "shard_plan") as deed:
        folders = [folder for folder, _ in planned_corpora(opened)]
        opened.store.put_bytes(CORPORA, canonical_json(folders))
        documents = corpus_files(opened)
        plan = plan_shards(documents, tokenizer_file, recipe.shards)
        cell_keys = verify_partition_keys("cell", sorted(plan.cells))
        data = plan.to_bytes()
        held_back = write_holdout(plan, documents=documents, store=opened.store)
        write_probe(
            opened.store,
            tokenizer_file,
            num_tokens=recipe.intake.probe_tokens,
            sequence_tokens=recipe.training.sequence_tokens,
            key=PROBE,
        )
        opened.store.put_bytes(PLAN, data)
        deed.details.update(sha256=sha256_hex(data), cells=cell_keys)
    context.instance.add_dynamic_partitions("cell", cell_keys)  # or else a sensor does
    rows = [
        (cell, len(shards), sum(s.num_tokens for s in shards))
        for cell, shards in sorted(plan.cells.items())
    ]
    return build_result(
        deed,
        sha256=sha256_hex(data),
        metadata={
            "shards": sum(row[1] for row in rows),
            "tokens": sum(row[2] for row in rows),
            "cells": render_table(("cell", "shards", "tokens"), rows),
            "documents held back": sum(held_back.values()),
            "documents left out": render_left_out(plan),
            "figures": dg.MetadataValue.json(build_figures(plan)),
        },
    )


def render_left_out(plan: ShardPlan) -> dg.MarkdownMetadataValue:
    """Return how many documents of each source were left out of the plan, and why."""
    reason = "same text as a document that stays"
    counts = {source: len(left_out) for source, left_out in plan.duplicates.items()}
    rows = [(source, reason, number) for source, number in counts.items()]
    return render_table(
        ("source", "reason", "documents"), [*rows, ("all", reason, sum(counts.values()))]
    )


def seal_cell(opened: Home, plan: ShardPlan, cell: str, documents: list[Path]) -> dict[str, Any]:
    """Seal one cell's shards and return its metadata."""
    manifests = seal_shards(
        plan,
        cell,
        documents=documents,
        tokenizer=opened.store.local_path(TOKENIZER),
        steward=Steward(signing=opened.steward, sealing=opened.steward_sealing),
        store=opened.store,
    )
    rows = [
        (m.shard_id[:12], m.num_tokens, m.num_documents, m.complexity, m.ciphertext_bytes)
        for m in manifests
    ]
    columns = ("shard", "tokens", "documents", "complexity", "sealed bytes")
    return {
        "tokens": sum(m.num_tokens for m in manifests),
        "shards": render_table(columns, rows),
        "licences": dg.MetadataValue.json([m.licences for m in manifests]),
        "shard ids": [m.shard_id for m in manifests],
    }


@dg.asset(
    partitions_def=cells,
    deps=["shard_plan"],
    group_name=GROUP,
    backfill_policy=dg.BackfillPolicy.single_run(),
    code_version="1",
)
def signed_shards(context: dg.AssetExecutionContext, home: HomeResource) -> None:
    """Shards of one cell: encrypted at rest, with a manifest signed by the data steward."""
    opened = home.open()
    plan = ShardPlan.from_bytes(opened.store.get_bytes(PLAN))
    documents = corpus_files(opened)
    for cell in context.partition_keys:
        with recorded(context, opened, "signed_shards", cell) as deed:
            metadata = seal_cell(opened, plan, cell, documents)
            shard_ids = metadata.pop("shard ids")
            sha256 = sha256_hex(canonical_json(shard_ids))
            deed.details.update(sha256=sha256, shards=len(shard_ids), tokens=metadata["tokens"])
        context.add_asset_metadata(
            {**metadata, SHA256: sha256, AUDIT_INDEX: deed.position}, partition_key=cell
        )


def tokenizer_sha256(opened: Home) -> str:
    """Return the digest of the campaign's tokenizer."""
    return describe_file(opened.store.local_path(TOKENIZER)).sha256


def planned_cells(opened: Home) -> list[str]:
    """Return the cells of the plan, ascending; none before there is a plan."""
    return list(_read_cells(opened.store.local_path(PLAN))) if opened.store.has(PLAN) else []


@lru_cache(maxsize=4)
def _read_cells(plan: Path) -> tuple[str, ...]:
    # A plan is large and written once: sensors, which ask at every tick, read it once.
    return tuple(sorted(ShardPlan.from_bytes(plan.read_bytes()).cells))


def is_sealed(opened: Home, cell: str) -> bool:
    """Return whether all shards of a cell are sealed: its lineage is written last."""
    generation = opened.settings.recipe.shards.generation
    return opened.store.has(build_lineage_key(cell, generation))
