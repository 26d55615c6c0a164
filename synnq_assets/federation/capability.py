"""Which nodes can train a recipe at all: architecture, memory, power, temperature."""

from synnq_assets.records.federation import NodeProfile
from synnq_assets.settings.recipe import Recipe

GIB = 1 << 30
ACTIVATION_BYTES_PER_TOKEN_PARAMETER = 2e-6  # rough: activations per token, with checkpointing


def required_memory_gib(recipe: Recipe, num_parameters: int) -> float:
    """Return accelerator memory for one job, in GiB: model state plus one batch's activations.

    The state is `memory_bytes_per_parameter` a parameter (16 for Adam in mixed precision:
    weights, gradients, fp32 copy and two moments; ZeRO, arXiv:1910.02054 §3.1).
    """
    state = num_parameters * recipe.allocation.memory_bytes_per_parameter
    tokens = recipe.training.batch_sequences * recipe.training.sequence_tokens
    activations = num_parameters * tokens * ACTIVATION_BYTES_PER_TOKEN_PARAMETER
    return (state + min(activations, state)) / GIB


def find_obstacle(profile: NodeProfile, recipe: Recipe, num_parameters: int) -> str | None:
    """Return the first constraint that keeps a node out, as a sentence; None if it can train."""
    architecture = recipe.model.architecture
    if "*" not in profile.architectures and architecture not in profile.architectures:
        return f"does not run architecture {architecture}"
    needed = required_memory_gib(recipe, num_parameters)
    if profile.memory_gib < needed:
        return f"has {profile.memory_gib:g} GiB of accelerator memory, {needed:.3g} GiB needed"
    if profile.power_watts > profile.power_cap_watts:
        return f"draws {profile.power_watts:g} W, above its cap of {profile.power_cap_watts:g} W"
    if profile.temperature_celsius >= profile.thermal_limit_celsius:
        return (
            f"is at {profile.temperature_celsius:g} °C, at or above its thermal limit of "
            f"{profile.thermal_limit_celsius:g} °C"
        )
    return None
