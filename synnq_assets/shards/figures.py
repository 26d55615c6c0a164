"""A plan in figures: what came out, and how far it is from what was asked."""

from typing import Any

from synnq_assets.shards.plan import PlannedShard, ShardPlan


def build_figures(plan: ShardPlan) -> dict[str, Any]:
    """Return a plan's figures as plain JSON values.

    Deviations are shares of the target and leave the residual out. Distances are Kolmogorov-Smirnov
    distances of a shard's complexity from its cell's. A document that was cut counts once.
    """
    shards = [shard for group in plan.cells.values() for shard in group]
    full = [shard for shard in shards if not shard.is_residual]
    target = plan.settings.target_tokens
    misses = [abs(shard.num_tokens - target) / target for shard in full]
    parts = [document for shard in shards for document in shard.documents]
    return {
        "target_tokens": target,
        "num_shards": len(shards),
        "num_tokens": sum(shard.num_tokens for shard in shards),
        "num_documents": len({document.doc_id for document in parts}),
        "num_documents_cut": len({d.doc_id for d in parts if d.num_parts > 1}),
        "holdout_documents": sum(len(doc_ids) for doc_ids in plan.holdout.values()),
        "holdout_tokens": sum(plan.holdout_tokens.values()),
        "duplicates_left_out": {source: len(ids) for source, ids in plan.duplicates.items()},
        "max_deviation": max(misses, default=0.0),
        "num_beyond_tolerance": sum(miss > plan.settings.tolerance for miss in misses),
        "max_complexity_distance": max((s.complexity_distance for s in full), default=0.0),
        "cells": {cell: _describe_cell(group, target) for cell, group in plan.cells.items()},
        "rolled_up": dict(plan.rolled_up),
        "passed_up_tokens": dict(plan.passed_up_tokens),
        "residual_tokens": sum(shard.num_tokens for shard in shards if shard.is_residual),
    }


def _describe_cell(shards: "tuple[PlannedShard, ...]", target_tokens: int) -> dict[str, Any]:
    full = [shard for shard in shards if not shard.is_residual]
    sizes = [shard.num_tokens for shard in full]
    return {
        "num_shards": len(shards),
        "num_tokens": sum(shard.num_tokens for shard in shards),
        "min_shard_tokens": min(sizes, default=0),
        "max_shard_tokens": max(sizes, default=0),
        "max_deviation": max((abs(s - target_tokens) / target_tokens for s in sizes), default=0.0),
        "max_complexity_distance": max((s.complexity_distance for s in full), default=0.0),
    }
