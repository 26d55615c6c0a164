"""Held-out loss of the federation against one trainer that sees the same tokens, as JSON.

    python -m synnq_assets_tests.benchmarks.federated_vs_central --recipe demo

The federation runs its real parts, without the daemon: allocation, signed orders, the payload,
intake, aggregation. The central trainer is the same payload with one order: all shards that the
federation trained on, as many epochs, the same batch size, the same learning rate as a function of
trained tokens, inner optimizer never reset. So tokens are equal; the central trainer takes as many
optimizer steps as all nodes together, one after the other.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import dagster as dg  # noqa: E402

from synnq_assets.cli.demo.setup import NODES, build_settings, create_demo_home  # noqa: E402
from synnq_assets.defs import aggregation, compute, federation, shards, submissions  # noqa: E402
from synnq_assets.defs.corpora import curated_corpus  # noqa: E402
from synnq_assets.defs.resources import HomeResource  # noqa: E402
from synnq_assets.defs.sealed import seal_shards_for  # noqa: E402
from synnq_assets.federation import (  # noqa: E402
    OrderTerms,
    Registry,
    build_order,
    build_round_base,
    build_segment,
)
from synnq_assets.modeling.models import (  # noqa: E402
    build_model,
    load_weights,
    mean_loss,
    read_weights,
)
from synnq_assets.records.identifiers import build_round_key  # noqa: E402
from synnq_assets.settings import load_node_settings  # noqa: E402
from synnq_assets.shards import ShardPlan  # noqa: E402
from synnq_assets.training.run import run_order  # noqa: E402


def prepare(home):
    """Corpora, tokenizer, sealed shards and the initial checkpoint, as the assets make them."""
    resources = {"home": HomeResource(path=str(home.path))}
    with dg.instance_for_test() as instance:
        for source in home.settings.recipe.corpus.sources:
            instance.add_dynamic_partitions("source", [source.name])
            options = {"instance": instance, "resources": resources}
            dg.materialize([curated_corpus], partition_key=source.name, **options)
        dg.materialize([shards.tokenizer, shards.shard_plan], **options)
    plan = ShardPlan.from_bytes(home.store.get_bytes(shards.PLAN))
    for cell in plan.cells:
        shards.seal_cell(home, plan, cell, shards.corpus_files(home))
    folder = home.store.reserve("checkpoints/r0000/model.safetensors").parent
    home.campaign.put_checkpoint(aggregation.build_initial(home, folder), home.coordinator)


def measure(home, weights):
    """Return the held-out loss of some weights, in nats per token."""
    model = build_model(home.settings.recipe)
    load_weights(model, weights)
    return mean_loss(model, np.load(home.store.local_path(shards.PROBE)))


def read_checkpoint(home, record):
    path = f"checkpoints/{record.checkpoint.checkpoint_sha256}/model.safetensors"
    return read_weights(home.store.local_path(path))


def train(home, order):
    """Run the payload on an order, and return its submission folder."""
    job = compute.build_job(home, order)
    node = home.path / "nodes" / order.node_id / "node.yaml"
    return run_order(Path(job.job_dir) / "order.json", load_node_settings(node))


def run_round(home, number):
    """Run one round from the checkpoint before; return its record and the verdicts."""
    campaign, recipe = home.campaign, home.settings.recipe
    parent = campaign.list_checkpoints()[-1]
    roster = [node.node_id for node in NODES]
    planned = len(roster) * recipe.rounds.max_shards_per_node * recipe.shards.target_tokens
    base = build_round_base(
        home.settings,
        round_key=build_round_key(number),
        parent=parent,
        roster=roster,
        tokens_planned=planned * recipe.training.epochs,
    )
    campaign.put_base(base, home.coordinator)
    allocation = federation.decide_allocation(home, base)
    verdicts = []
    federation.issue_orders(home, base, allocation.assignments)
    for order in campaign.list_orders(base.round):
        submissions.store_submission(home, train(home, order), order)
        verdicts.append(submissions.judge(home, order))
    folder = home.store.reserve(f"checkpoints/{base.round}/model.safetensors").parent
    record, _ = aggregation.aggregate(home, base.round, folder, None)
    campaign.put_checkpoint(record, home.coordinator)
    return record, verdicts


def train_central(home, trained_tokens):
    """Return the loss of one trainer on everything that the federation trained on."""
    campaign, recipe = home.campaign, home.settings.recipe
    used = {
        shard.shard_id
        for round_key in campaign.list_rounds()
        for order in campaign.list_orders(round_key)
        if (verdict := campaign.find_verdict(order.assignment_id))
        and verdict.decision == "accepted"
        for shard in order.shards
    }
    initial = campaign.find_checkpoint("r0000")
    first = campaign.find_base("r0001")
    segment = build_segment(recipe.schedule, 0, trained_tokens)
    terms = OrderTerms(
        settings=home.settings,
        base=first.model_copy(update={"lr": segment}),
        checkpoint=initial.checkpoint,
        tokenizer_sha256=shards.tokenizer_sha256(home),
    )
    node = Registry(home.ledger).get(NODES[0].node_id)
    chosen = seal_shards_for(home, node, f"r0001.{node.node_id}.99", sorted(used))
    order = build_order(terms, node, attempt=99, shards=chosen)
    campaign.put_order(order, home.coordinator)
    update = read_weights(train(home, order) / "update.safetensors")
    weights = read_checkpoint(home, initial)
    return measure(home, {name: weights[name] + update[name] for name in weights})


def compare(recipe_name, num_rounds, work):
    """Run both, and return the figures."""
    settings = build_settings(recipe_name, num_rounds=num_rounds)
    home = create_demo_home(work / "home", settings)
    Registry(home.ledger).load()
    prepare(home)
    losses = [measure(home, read_checkpoint(home, home.campaign.find_checkpoint("r0000")))]
    began = time.monotonic()
    accepted = []
    for number in range(1, settings.recipe.rounds.num_rounds + 1):
        record, verdicts = run_round(home, number)
        losses.append(measure(home, read_checkpoint(home, record)))
        accepted.append(sum(verdict.decision == "accepted" for verdict in verdicts))
    federated_seconds = time.monotonic() - began
    began = time.monotonic()
    central = train_central(home, record.tokens_total)
    return {
        "recipe": recipe_name,
        "settings_sha256": settings.digest,
        "nodes": len(NODES),
        "rounds": settings.recipe.rounds.num_rounds,
        "accepted_per_round": accepted,
        "trained_tokens": record.tokens_total,
        "epochs": settings.recipe.training.epochs,
        "federated_loss_per_round": losses,
        "federated_loss": losses[-1],
        "central_loss": central,
        "ratio_federated_to_central": losses[-1] / central,
        "federated_perplexity": float(np.exp(losses[-1])),
        "central_perplexity": float(np.exp(central)),
        "federated_seconds_one_node_after_another": federated_seconds,
        "central_seconds": time.monotonic() - began,
        "unit": "nats per held-out token",
        "versions": {name: version(name) for name in ("synnq-assets", "torch", "transformers")},
    }


def main():
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--rounds", type=int, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(compare(options.recipe, options.rounds, Path(folder)), indent=2))


if __name__ == "__main__":
    sys.exit(main())
