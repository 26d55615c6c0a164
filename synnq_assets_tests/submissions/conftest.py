"""One trained world for the whole room: building it takes a few seconds of torch."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from synnq_assets.settings import load_recipe
from synnq_assets.trust import SigningKey

from .makers import NODE, Work, World, make_keyring, make_node, make_order

ROWS, TOKENS = 96, 32


def draw_rows(rng, count):
    """Rows of a language with one rule: the next id is three times the last, plus noise 0 to 3."""
    rows = np.empty((count, TOKENS + 1), dtype=np.int64)
    rows[:, 0] = rng.integers(1, 64, size=count)
    for k in range(TOKENS):
        rows[:, k + 1] = (3 * rows[:, k] + rng.integers(0, 4, size=count)) % 64
    return rows


def train(model, rows, rates):
    """Plain AdamW over batches of 8 rows, cycling; returns the log's columns of figures."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.1)
    losses, norms = [], []
    for step, rate in enumerate(rates):
        begin = 8 * step % len(rows)
        ids = torch.from_numpy(rows[begin : begin + 8])
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        losses.append(float(loss.detach()))
        optimizer.step()
    return losses, norms


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> World:
    import torch

    from synnq_assets.modeling.models import build_model, named_weights, write_weights

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("world")
    recipe = load_recipe("smoke", {})
    rng = np.random.default_rng(0)
    model = build_model(recipe, seed=0)
    train(model, draw_rows(rng, ROWS), [0.003] * 30)
    base_model = folder / "model.safetensors"
    write_weights(base_model, named_weights(model), metadata={"format": "pt"})
    before = {name: tensor.clone() for name, tensor in named_weights(model).items()}
    order = make_order(base_model, recipe)
    rates = [order.lr.at(step / 12) for step in range(12)]
    losses, norms = train(model, draw_rows(rng, ROWS), rates)
    update = {
        name: (tensor - before[name]).numpy() for name, tensor in named_weights(model).items()
    }
    log = {
        "step": list(range(12)),
        "epoch": [1] * 4 + [2] * 4 + [1] * 2 + [2] * 2,
        "num_steps": [1] * 12,
        "shard": [0] * 8 + [1] * 4,
        "tokens": [256] * 12,
        "loss": losses,
        "gradient_norm": norms,
        "learning_rate": rates,
        "tokens_per_second": [1000.0] * 12,
    }
    probe = folder / "probe.npy"
    np.save(probe, draw_rows(rng, 64).astype(np.uint16))
    key, other_key = SigningKey.generate(), SigningKey.generate()
    keyring = make_keyring(
        coordinator=SigningKey.generate(), nodes={NODE: key, "lumi-g-03": other_key}
    )
    return World(
        recipe=recipe,
        key=key,
        other_key=other_key,
        keyring=keyring,
        node=make_node(key),
        order=order,
        base_model=base_model,
        probe=probe,
        work=Work(update=update, log=log),
    )


@pytest.fixture(scope="module")
def desk(tmp_path_factory, world):
    """Where the list of bad inputs is tried."""
    import dagster as dg

    from .the_list import open_desk

    with dg.DagsterInstance.ephemeral() as instance:
        yield open_desk(tmp_path_factory.mktemp("desk"), world, instance)


@pytest.fixture
def bad(desk, tmp_path):
    """The next bad input, until it is made bad an honest one."""
    return desk.case(tmp_path)


@pytest.fixture(scope="session")
def enrolled(tmp_path_factory):
    """A home with the demo's four nodes; tests copy it."""
    from synnq_assets.cli.demo.setup import create_demo_home
    from synnq_assets.settings import resolve_settings

    path = tmp_path_factory.mktemp("enrolled") / "home"
    return create_demo_home(path, resolve_settings("local", "smoke")).path
