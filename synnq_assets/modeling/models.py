"""Build, load and save causal language models; measure their loss. Imports torch.

A checkpoint folder holds `model.safetensors`: float32, one tensor per parameter, tied weights
stored once.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from synnq_assets.errors import TensorFileError
from synnq_assets.modeling.architectures import build_config
from synnq_assets.settings.recipe import Recipe
from synnq_assets.storage.tensors import Array, TensorFile, TensorWriter, float32_to_bf16

MODEL_FILE = "model.safetensors"


def build_model(recipe: Recipe, *, seed: int | None = None) -> Any:
    """Return a float32 `LlamaForCausalLM` of the recipe, with random weights.

    Args:
        recipe: names the architecture, the vocabulary and the context.
        seed: owns the initialisation; None leaves torch's generator as it is.
    """
    from transformers import LlamaForCausalLM

    config = build_config(
        recipe.model.architecture,
        vocab_size=recipe.tokenizer.vocab_size,
        context_tokens=recipe.model.context_tokens,
    )
    if seed is not None:
        torch.manual_seed(seed)
    return LlamaForCausalLM(config).float()


def count_parameters(recipe: Recipe) -> int:
    """Return the number of parameters, built on the meta device: no memory is taken."""
    with torch.device("meta"):
        model = build_model(recipe)
    return sum(parameter.numel() for parameter in model.parameters())


def named_weights(model: Any) -> dict[str, torch.Tensor]:
    """Return the trainable parameters by name; a tied weight appears once."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def write_weights(
    path: Path, weights: dict[str, torch.Tensor], *, dtype: str = "F32", metadata: dict[str, str]
) -> None:
    """Write tensors as safetensors, F32 or BF16 (rounded to nearest even), whole or not at all."""
    schema = {name: (dtype, tuple(tensor.shape)) for name, tensor in weights.items()}
    with TensorWriter(path, schema, metadata) as writer:
        for name in sorted(weights):
            values: Array = weights[name].detach().to("cpu", torch.float32).numpy()
            writer.append(name, float32_to_bf16(values) if dtype == "BF16" else values)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read all tensors of a safetensors file as float32.

    Raises:
        TensorFileError: the file breaks the strict profile.
    """
    with TensorFile(path) as file:
        return {
            name: torch.from_numpy(file.read_float32(name).copy()).reshape(info.shape)
            for name, info in file.tensors.items()
        }


def load_weights(model: Any, weights: dict[str, torch.Tensor]) -> None:
    """Copy weights into a model of exactly this schema.

    Raises:
        TensorFileError: a tensor is missing, unexpected, or of another shape.
    """
    own = dict(model.named_parameters())
    if own.keys() != weights.keys():
        odd = sorted(own.keys() ^ weights.keys())[0]
        raise TensorFileError(f"weights and architecture differ in {odd}")
    with torch.no_grad():
        for name, parameter in own.items():
            if parameter.shape != weights[name].shape:
                raise TensorFileError(f"{name}: shape differs from the architecture")
            parameter.copy_(weights[name])


def mean_loss(model: Any, sequences_BT: Array, *, batch_size: int = 16) -> float:
    """Return the mean next-token loss in nats over rows of token ids.

    Shapes: sequences_BT [B, T] integer -> scalar; accumulated in float64.
    """
    total, count = 0.0, 0
    model.eval()
    with torch.inference_mode():
        for k in range(0, len(sequences_BT), batch_size):
            ids = torch.from_numpy(np.asarray(sequences_BT[k : k + batch_size], dtype=np.int64))
            logits = model(input_ids=ids).logits[:, :-1]
            losses = torch.nn.functional.cross_entropy(
                logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1), reduction="none"
            )
            total += float(losses.double().sum())
            count += losses.numel()
    return total / count
