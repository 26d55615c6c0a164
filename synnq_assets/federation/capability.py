"""Which nodes can train a recipe at all: architecture, memory against batch, power, temperature.

Memory is what a job holds at its peak, over all ranks:

    model state    P · memory_bytes_per_parameter; 16 for Adam with fp32 master weights: weights,
                   gradients, two moments (or their mixed-precision forms). Source: ZeRO,
                   arXiv:1910.02054 §3.1. It counts once: FSDP2 and ZeRO 3 shard all of it.
    activations    ranks · micro batch · sequence · bytes a token (below)

Per token and layer the backward pass needs, with hidden size h, feed-forward size f, share g of
key-value heads, and e bytes a value (4 in fp32, 2 in bf16):

    layer = 16·h + e·((c + 2·g)·h + 4·f)

16·h: both norms' inputs and normalised values, in fp32. c·h: the inputs of the projections, query
and attention output; c = 4, or 7 in bf16, where autocast keeps a copy for each projection. 2·g·h:
keys, values. 4·f: gate, its activation, up, their product. Attention is fused: no term in
sequence². Vocabulary V costs (e + 12)·V: logits, and in fp32 log-probabilities and two gradients.

    without activation checkpointing    layers · layer + (e + 12)·V
    with it                             layers · 4·h + max(layer, (e + 12)·V)

With it a layer keeps its input alone, and is computed again one at a time. The counting is that of
Korthikanti et al., arXiv:2205.05198 §4, done for SwiGLU and grouped queries; checkpointing is Chen
et al., arXiv:1604.06174. A test compares it with what autograd keeps.
"""

from synnq_assets.modeling.architectures import Architecture, find_architecture
from synnq_assets.records.federation import NodeProfile
from synnq_assets.settings.recipe import Recipe, TrainingSettings

GIB = 1 << 30
FP32_BYTES = 4


def count_activation_bytes(
    shape: Architecture, *, vocab_size: int, is_bf16: bool, checkpoints: bool
) -> float:
    """Return the bytes that one token of a micro batch holds at the peak of a step."""
    hidden, value_bytes = shape.hidden_size, 2 if is_bf16 else FP32_BYTES
    key_value_share = shape.num_key_value_heads / shape.num_heads
    layer = 4 * FP32_BYTES * hidden + value_bytes * (
        ((7 if is_bf16 else 4) + 2 * key_value_share) * hidden + 4 * shape.intermediate_size
    )
    logits = (value_bytes + 3 * FP32_BYTES) * vocab_size
    if checkpoints:
        return shape.num_layers * FP32_BYTES * hidden + max(layer, logits)
    return shape.num_layers * layer + logits


def count_sequences_at_once(training: TrainingSettings, num_accelerators: int) -> int:
    """Return the sequences that are in flight over all ranks: a micro batch each."""
    is_single = training.parallelism.name == "single"
    num_ranks = 1 if is_single else min(num_accelerators, training.batch_sequences)
    rows = -(-training.batch_sequences // num_ranks)
    micro = training.parallelism.params.get("micro_batch_sequences")
    return num_ranks * (min(rows, micro) if isinstance(micro, int) else rows)


def required_memory_gib(recipe: Recipe, num_parameters: int, num_accelerators: int = 1) -> float:
    """Return the accelerator memory of one job over all its ranks, in GiB."""
    training = recipe.training
    token_bytes = count_activation_bytes(
        find_architecture(recipe.model.architecture),
        vocab_size=recipe.tokenizer.vocab_size,
        is_bf16=training.precision == "bf16",
        checkpoints=bool(training.parallelism.params.get("checkpoint_activations", False)),
    )
    tokens = count_sequences_at_once(training, num_accelerators) * training.sequence_tokens
    state = num_parameters * recipe.allocation.memory_bytes_per_parameter
    return (state + tokens * token_bytes) / GIB


def find_obstacle(profile: NodeProfile, recipe: Recipe, num_parameters: int) -> str | None:
    """Return the first constraint that keeps a node out, as a sentence; None if it can train."""
    architecture = recipe.model.architecture
    if "*" not in profile.architectures and architecture not in profile.architectures:
        return f"does not run architecture {architecture}"
    needed = required_memory_gib(recipe, num_parameters, profile.num_accelerators)
    if profile.memory_gib < needed:
        num_sequences = count_sequences_at_once(recipe.training, profile.num_accelerators)
        return (
            f"has {profile.memory_gib:g} GiB of accelerator memory, {needed:.3g} GiB needed for "
            f"{num_sequences} sequences at once"
        )
    if profile.power_watts > profile.power_cap_watts:
        return f"draws {profile.power_watts:g} W, above its cap of {profile.power_cap_watts:g} W"
    if profile.temperature_celsius >= profile.thermal_limit_celsius:
        return (
            f"is at {profile.temperature_celsius:g} °C, at or above its thermal limit of "
            f"{profile.thermal_limit_celsius:g} °C"
        )
    return None
