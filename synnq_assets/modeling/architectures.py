"""Model architectures by name, in the shape of the `LlamaConfig` of the transformers library.

Dense decoders with grouped-query attention, rotary positions, RMSNorm and SwiGLU.

Sources: GQA arXiv:2305.13245, rotary positions arXiv:2104.09864, RMSNorm arXiv:1910.07467,
SwiGLU arXiv:2002.05202.
"""

import difflib
from dataclasses import dataclass
from typing import Any

from synnq_assets.errors import SettingsError
from synnq_assets.settings.recipe import Recipe


@dataclass(frozen=True)
class Architecture:
    """One dense decoder. `head_size` is hidden_size / num_heads."""

    name: str
    hidden_size: int
    num_layers: int
    num_heads: int
    num_key_value_heads: int
    intermediate_size: int
    ties_embeddings: bool
    rope_theta: float = 10_000.0
    rms_norm_epsilon: float = 1e-5


ARCHITECTURES: dict[str, Architecture] = {
    item.name: item
    for item in (
        Architecture("nano", 64, 2, 4, 2, 176, True),
        Architecture("tiny", 128, 4, 4, 2, 352, True),
        Architecture("small", 512, 8, 8, 4, 1408, True),
        Architecture("eu-1b", 2048, 20, 16, 8, 5632, True, rope_theta=500_000.0),
        Architecture("eu-32b", 5120, 64, 40, 8, 27_648, False, rope_theta=500_000.0),
    )
}


def find_architecture(name: str) -> Architecture:
    """Return an architecture by name.

    Raises:
        SettingsError: unknown name; the message suggests the nearest.
    """
    try:
        return ARCHITECTURES[name]
    except KeyError:
        near = difflib.get_close_matches(name, ARCHITECTURES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(ARCHITECTURES)}"
        raise SettingsError(f"no architecture named {name!r}{hint}") from None


def build_config(name: str, *, vocab_size: int, context_tokens: int) -> Any:
    """Return the transformers `LlamaConfig` of an architecture. Imports transformers."""
    from transformers import LlamaConfig

    shape = find_architecture(name)
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_key_value_heads,
        max_position_embeddings=context_tokens,
        rms_norm_eps=shape.rms_norm_epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=shape.ties_embeddings,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=None,
        attention_bias=False,
        mlp_bias=False,
        use_cache=False,
    )


def count_weights(recipe: Recipe) -> int:
    """Return the number of parameters of a recipe's model, by formula; imports nothing heavy.

    The count on the meta device (`models.count_parameters`) is the reference; a test compares.
    """
    shape = find_architecture(recipe.model.architecture)
    hidden, head = shape.hidden_size, shape.hidden_size // shape.num_heads
    attention = 2 * hidden * hidden + 2 * hidden * head * shape.num_key_value_heads
    layer = attention + 3 * hidden * shape.intermediate_size + 2 * hidden
    embeddings = recipe.tokenizer.vocab_size * hidden * (1 if shape.ties_embeddings else 2)
    return shape.num_layers * layer + embeddings + hidden
