"""The tensors that a `config.json` of the Llama family calls for, without torch.

Source: `LlamaForCausalLM` of the transformers library; the names and shapes of its parameters.
"""

from pathlib import Path
from typing import Any

from synnq_assets.errors import RecordError, ReleaseError
from synnq_assets.records.base import parse_strict_json
from synnq_assets.release.contents import CONFIG_FILE, MODEL_FILE, read_small_file
from synnq_assets.storage.tensors import TensorFile

Schema = dict[str, tuple[int, ...]]
_DTYPES = frozenset({"F32", "BF16"})
# Settings through which a loader could be made to import code that the folder names.
_CODE_KEYS = frozenset({"auto_map", "custom_pipelines", "quantization_config"})


def _read_sizes(config: dict[str, Any]) -> dict[str, int]:
    sizes = {}
    for name in (
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
    ):
        value = config.get(name)
        if type(value) is not int or not 1 <= value < 2**24:
            raise ReleaseError(f"{CONFIG_FILE}: {name} is not a size")
        sizes[name] = value
    if sizes["num_hidden_layers"] > 1000:
        raise ReleaseError(f"{CONFIG_FILE}: more than 1000 layers")
    return sizes


def build_llama_schema(config: dict[str, Any]) -> Schema:
    """Return tensor name -> shape for a parsed `config.json`; a tied weight appears once.

    Raises:
        ReleaseError: another architecture, a size that is missing or absurd, or a setting that
            names code.
    """
    if config.get("architectures") != ["LlamaForCausalLM"] or config.get("model_type") != "llama":
        raise ReleaseError(f"{CONFIG_FILE} does not describe a LlamaForCausalLM")
    if named := sorted(key for key in config if key in _CODE_KEYS or key.startswith("_attn")):
        raise ReleaseError(
            f"{CONFIG_FILE}: {named[0]} is not allowed; it could make a loader run code"
        )
    if config.get("attention_bias") or config.get("mlp_bias"):
        raise ReleaseError(f"{CONFIG_FILE}: models with biases are not released")
    size = _read_sizes(config)
    hidden, inner = size["hidden_size"], size["intermediate_size"]
    query = size["num_attention_heads"] * size["head_dim"]
    key_value = size["num_key_value_heads"] * size["head_dim"]
    schema: Schema = {
        "model.embed_tokens.weight": (size["vocab_size"], hidden),
        "model.norm.weight": (hidden,),
    }
    if not config.get("tie_word_embeddings"):
        schema["lm_head.weight"] = (size["vocab_size"], hidden)
    for k in range(size["num_hidden_layers"]):
        layer = f"model.layers.{k}"
        schema[f"{layer}.input_layernorm.weight"] = (hidden,)
        schema[f"{layer}.post_attention_layernorm.weight"] = (hidden,)
        schema[f"{layer}.self_attn.q_proj.weight"] = (query, hidden)
        schema[f"{layer}.self_attn.k_proj.weight"] = (key_value, hidden)
        schema[f"{layer}.self_attn.v_proj.weight"] = (key_value, hidden)
        schema[f"{layer}.self_attn.o_proj.weight"] = (hidden, query)
        schema[f"{layer}.mlp.gate_proj.weight"] = (inner, hidden)
        schema[f"{layer}.mlp.up_proj.weight"] = (inner, hidden)
        schema[f"{layer}.mlp.down_proj.weight"] = (hidden, inner)
    return schema


def read_config(folder: Path) -> dict[str, Any]:
    """Return the parsed `config.json` of a folder.

    Raises:
        ReleaseError: missing, or not one strict JSON object.
    """
    try:
        config = parse_strict_json(read_small_file(folder / CONFIG_FILE))
    except RecordError as error:
        raise ReleaseError(f"{CONFIG_FILE}: {error}") from error
    if not isinstance(config, dict):
        raise ReleaseError(f"{CONFIG_FILE} is not a JSON object")
    return config


def verify_weights(folder: Path) -> int:
    """Check names, shapes and dtypes of the weights against `config.json`; return the parameters.

    Raises:
        TensorFileError: the file breaks the strict profile.
        ReleaseError: a tensor is missing, added, of another shape, or not floating point.
    """
    expected = build_llama_schema(read_config(folder))
    with TensorFile(folder / MODEL_FILE) as file:
        if odd := sorted(file.tensors.keys() ^ expected.keys()):
            raise ReleaseError(f"{MODEL_FILE} and {CONFIG_FILE} differ in tensor {odd[0]}")
        for name, info in file.tensors.items():
            if info.shape != expected[name] or info.dtype not in _DTYPES:
                raise ReleaseError(
                    f"{MODEL_FILE}: {name} is {info.dtype}{list(info.shape)}, "
                    f"{CONFIG_FILE} calls for {list(expected[name])}"
                )
        return sum(info.num_elements for info in file.tensors.values())
