import copy
import json
from typing import Any

import pytest

from synnq_assets.errors import ReleaseError
from synnq_assets.modeling.architectures import build_config
from synnq_assets.release.llama import build_llama_schema

NANO = json.loads(
    """{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 10,
    "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 2, "tie_word_embeddings": true}"""
)


@pytest.mark.parametrize("name", ["nano", "small", "eu-32b"])  # tied, grouped, untied
def test_the_schema_is_that_of_the_library(name: str):
    import torch
    from transformers import LlamaForCausalLM

    config = build_config(name, vocab_size=512, context_tokens=64)
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    expected = {key: tuple(value.shape) for key, value in model.named_parameters()}
    schema = build_llama_schema({**config.to_dict(), "architectures": ["LlamaForCausalLM"]})
    assert schema == expected


def test_a_small_schema_by_hand():
    schema = build_llama_schema(NANO)
    assert schema["model.layers.0.self_attn.q_proj.weight"] == (4, 4)
    assert schema["model.layers.0.self_attn.k_proj.weight"] == (2, 4)
    assert schema["model.layers.0.mlp.down_proj.weight"] == (4, 6)
    assert len(schema) == 2 + 9


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", 0),
        ("hidden_size", True),
        ("hidden_size", 4.0),
        ("num_hidden_layers", 10**9),
        ("vocab_size", 2**24),
        ("head_dim", None),
        ("model_type", "gpt2"),
        ("architectures", ["Evil"]),
        ("quantization_config", {}),
        ("attention_bias", True),
    ],
)
def test_an_odd_config_is_refused(key: str, value: Any):
    config = copy.deepcopy(NANO)
    config[key] = value
    with pytest.raises(ReleaseError):
        build_llama_schema(config)
