import pytest

from synnq_assets.errors import AllocationError
from synnq_assets.federation import AllocationRequest, allocate_shards
from synnq_assets.federation.capability import (
    GIB,
    count_activation_bytes,
    count_sequences_at_once,
    find_obstacle,
    required_memory_gib,
)
from synnq_assets.modeling.architectures import count_weights, find_architecture
from synnq_assets.settings import load_recipe
from synnq_assets.settings.base import Variant
from synnq_assets_tests.builders import build_manifest, build_profile

RECIPE = load_recipe("smoke", {})


def recipe_with(base=RECIPE, parallelism="single", params=None, **training):
    variant = Variant(name=parallelism, params=params or {})
    changes = {"parallelism": variant, **training}
    return base.model_copy(update={"training": base.training.model_copy(update=changes)})


@pytest.mark.parametrize(
    ("is_bf16", "checkpoints", "expected"),
    [
        # nano: h 64, f 176, 2 layers, g 1/2; V 512.
        (False, False, 2 * (16 * 64 + 4 * (5 * 64 + 4 * 176)) + 16 * 512),
        (True, False, 2 * (16 * 64 + 2 * (8 * 64 + 4 * 176)) + 14 * 512),
        (False, True, 2 * 4 * 64 + 16 * 512),  # the logits are larger than a layer
        (True, True, 2 * 4 * 64 + 14 * 512),
    ],
)
def test_activation_bytes_by_hand(is_bf16, checkpoints, expected):
    shape = find_architecture("nano")
    found = count_activation_bytes(shape, vocab_size=512, is_bf16=is_bf16, checkpoints=checkpoints)
    assert found == expected


def test_required_memory_by_hand():
    # 100 parameters x 16 bytes, and 8 sequences of 32 tokens at once.
    expected = 100 * 16 + 8 * 32 * (2 * (16 * 64 + 4 * (5 * 64 + 4 * 176)) + 16 * 512)
    assert required_memory_gib(RECIPE, 100) == pytest.approx(expected / GIB)


@pytest.mark.parametrize(
    ("parallelism", "params", "batch", "accelerators", "at_once"),
    [
        ("single", {}, 8, 4, 8),  # one process, whatever the node has
        ("single", {"micro_batch_sequences": 2}, 8, 4, 2),
        ("single", {"micro_batch_sequences": 99}, 8, 1, 8),
        ("fsdp2", {}, 8, 4, 8),  # two rows on each of four ranks
        ("fsdp2", {}, 9, 4, 12),  # three rows on some: the largest rank decides
        ("fsdp2", {"micro_batch_sequences": 1}, 128, 16, 16),
        ("deepspeed", {"micro_batch_sequences": None}, 2, 4, 2),
    ],
)
def test_sequences_in_flight_by_hand(parallelism, params, batch, accelerators, at_once):
    training = recipe_with(RECIPE, parallelism, params, batch_sequences=batch).training
    assert count_sequences_at_once(training, accelerators) == at_once


def allocate(recipe):
    needs_8 = required_memory_gib(RECIPE, count_weights(RECIPE))
    nodes = [build_profile("small", memory_gib=needs_8 * 1.5), build_profile("large")]
    return allocate_shards(
        AllocationRequest(
            round_key="r0001",
            recipe=recipe,
            num_parameters=count_weights(recipe),
            nodes=nodes,
            shards=[build_manifest(f"s{k}") for k in range(4)],
        )
    )


def test_a_larger_batch_excludes_a_small_node():
    assert allocate(recipe_with(batch_sequences=8)).excluded == {}
    excluded = allocate(recipe_with(batch_sequences=64)).excluded
    assert list(excluded) == ["small"]
    assert "GiB needed for 64 sequences at once" in excluded["small"]


def test_a_longer_sequence_excludes_a_small_node():
    assert list(allocate(recipe_with(sequence_tokens=256)).excluded) == ["small"]


@pytest.mark.parametrize("params", [{"micro_batch_sequences": 8}, {"checkpoint_activations": True}])
def test_micro_batches_or_activation_checkpointing_bring_it_back(params):
    base = recipe_with(batch_sequences=16)
    recipe = recipe_with(base, params=params)
    assert list(allocate(base).excluded) == ["small"]
    assert allocate(recipe).excluded == {}
    assert required_memory_gib(recipe, 0) < required_memory_gib(base, 0)


def test_where_no_node_holds_the_batch_the_error_says_what_is_needed():
    profile = build_profile(memory_gib=0.001)
    with pytest.raises(AllocationError, match=r"node-a has 0.001 GiB .* needed for 8 sequences"):
        allocate_shards(
            AllocationRequest(
                round_key="r0001",
                recipe=RECIPE,
                num_parameters=count_weights(RECIPE),
                nodes=[profile],
                shards=[build_manifest("s0")],
            )
        )


def test_the_32b_recipe_fits_where_it_is_meant_to_run():
    recipe = load_recipe("eu-32b", {})
    needs = {16: 750, 32: 1000}  # GiB: 32.2e9 parameters x 16 bytes, and 12 GiB a rank
    for accelerators, bound in needs.items():
        found = required_memory_gib(recipe, count_weights(recipe), accelerators)
        assert bound * 0.8 < found < bound
    fitting = build_profile(memory_gib=16 * 64, num_accelerators=16, num_hosts=2)
    assert find_obstacle(fitting, recipe, count_weights(recipe)) is None


def measure_kept_bytes(name, *, tokens_BS, vocab_size, is_bf16, checkpoints):
    """Return the bytes that autograd keeps for the backward pass, without parameters."""
    import torch
    from torch.nn.functional import cross_entropy
    from transformers import LlamaForCausalLM

    from synnq_assets.modeling.architectures import build_config

    config = build_config(name, vocab_size=vocab_size, context_tokens=tokens_BS[1])
    model = LlamaForCausalLM(config).train()
    if checkpoints:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    weights = {tuple(p.shape) for p in model.parameters()}
    weights |= {shape[::-1] for shape in weights}  # autocast keeps bf16 copies: model state
    kept = {}

    def pack(tensor):
        if tuple(tensor.shape) not in weights:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)  # held, so that none is reused
        return tensor

    ids = torch.randint(0, vocab_size, tokens_BS)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_bf16):
            logits_BSV = model(input_ids=ids).logits
        cross_entropy(logits_BSV.float().flatten(0, 1), ids.flatten())
    return sum(num_bytes for num_bytes, _ in kept.values())


@pytest.mark.slow  # imports transformers
@pytest.mark.parametrize("is_bf16", [False, True])
@pytest.mark.parametrize("checkpoints", [False, True])
def test_the_formula_is_what_autograd_keeps(is_bf16, checkpoints):
    shape, vocab_size, tokens_BS = find_architecture("tiny"), 300, (3, 96)
    measured = measure_kept_bytes(
        "tiny",
        tokens_BS=tokens_BS,
        vocab_size=vocab_size,
        is_bf16=is_bf16,
        checkpoints=checkpoints,
    )
    num_tokens = tokens_BS[0] * tokens_BS[1]
    expected = count_activation_bytes(
        shape, vocab_size=vocab_size, is_bf16=is_bf16, checkpoints=checkpoints
    )
    # Counted, but not kept between the passes: gradients of logits, or the layer computed again.
    passing = (2 if is_bf16 else 4) + 8
    passing *= vocab_size
    if checkpoints:
        layers = shape.num_layers * 4 * shape.hidden_size
        expected, passing = layers + 4 * vocab_size, 0
    # Beside the layers: final norm and the input of the output layer.
    ends = (8 + (2 if is_bf16 else 4)) * shape.hidden_size
    assert measured / num_tokens == pytest.approx(expected - passing + ends, rel=0.05)
