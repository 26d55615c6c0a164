"""A checkpoint as a Hugging Face folder that `AutoModelForCausalLM` loads.

transformers 5 writes rotary settings where version 4 does not look for them, and a tokenizer
class that version 4 refuses; both are written in the older form as well.
"""

import json
import shutil
from pathlib import Path

from synnq_assets.modeling.architectures import build_config, find_architecture
from synnq_assets.modeling.models import MODEL_FILE
from synnq_assets.settings.recipe import Recipe
from synnq_assets.storage.files import write_atomically

END_OF_TEXT = "<|endoftext|>"


def export_huggingface(recipe: Recipe, weights: Path, tokenizer: Path, out_dir: Path) -> Path:
    """Write config, weights and tokenizer into `out_dir`, and return it.

    Args:
        recipe: names the architecture, the vocabulary and the context.
        weights: `model.safetensors` of a global checkpoint; copied as it is.
        tokenizer: `tokenizer.json`.
        out_dir: created; existing files of the same names are replaced.

    Raises:
        StorageError: the folder cannot be written.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    config = build_config(
        recipe.model.architecture,
        vocab_size=recipe.tokenizer.vocab_size,
        context_tokens=recipe.model.context_tokens,
    ).to_dict()
    config.update(
        architectures=["LlamaForCausalLM"],
        model_type="llama",
        rope_theta=find_architecture(recipe.model.architecture).rope_theta,
        torch_dtype="float32",
        dtype="float32",
        use_cache=True,
    )
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END_OF_TEXT,
        "bos_token": END_OF_TEXT,
        "model_max_length": recipe.model.context_tokens,
        "clean_up_tokenization_spaces": False,
    }
    generation = {"bos_token_id": 0, "eos_token_id": 0, "_from_model_config": True}
    for name, value in (
        ("config.json", config),
        ("tokenizer_config.json", tokenizer_config),
        ("generation_config.json", generation),
    ):
        text = json.dumps(value, indent=2, sort_keys=True) + "\n"
        write_atomically(out_dir / name, text.encode())
    shutil.copyfile(weights, out_dir / MODEL_FILE)
    shutil.copyfile(tokenizer, out_dir / "tokenizer.json")
    return out_dir
