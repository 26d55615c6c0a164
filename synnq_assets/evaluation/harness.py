"""lm-eval's only door: ask the model every question of a suite, offline, and return the answers.

The model folder is loaded here and not by lm-eval, so that a weight which the file lacks is an
error and not a random number. `lm_eval.evaluate` is called instead of `simple_evaluate`, which
would collect facts about the host (packages, hardware, git) that must not leave it.
"""

import copy
import logging
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synnq_assets.errors import EvaluationError
from synnq_assets.evaluation.suite import ATTRIBUTION, Suite
from synnq_assets.evaluation.tasks import Answer

MODEL_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


@dataclass(frozen=True)
class Answers:
    """Answers by task in the order of the items, and the attribution figures."""

    by_task: Mapping[str, Sequence[Answer]]
    attribution: Mapping[str, float]


def ask_model(model_dir: Path, suite: Suite, *, batch_size: int) -> Answers:
    """Answer every item of a suite with the model in a Hugging Face folder.

    The model runs in float32 on one device: the accelerator that torch sees, or the CPU.

    Raises:
        EvaluationError: the folder is not a whole model, or lm-eval fails.
    """
    os.environ.update(OFFLINE)  # read by the libraries when they are first imported
    model, tokenizer = _load_model(model_dir)
    try:
        samples = _run_tasks(_build_harness_model(model, tokenizer, batch_size), suite)
        by_task = {
            name: [_read_sample(sample, tokenizer) for sample in samples[f"synnq_{name}"]]
            for name in suite.tasks
        }
        return Answers(by_task, _explain(model, tokenizer, suite))
    except Exception as error:
        raise EvaluationError(
            f"the evaluation of {model_dir} could not finish: {type(error).__name__}: {error}"
        ) from error


def _run_tasks(lm: Any, suite: Suite) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    import lm_eval
    from lm_eval.tasks import TaskManager

    with tempfile.TemporaryDirectory(prefix="synnq-evaluation-") as cache:
        placed = [_place(config, suite, cache) for config in suite.configs.values()]
        loaded = TaskManager(include_defaults=False).load(placed)
        results = lm_eval.evaluate(lm, loaded, bootstrap_iters=0, log_samples=True)
    samples: Mapping[str, Sequence[Mapping[str, Any]]] = results["samples"]
    return samples


def _load_model(model_dir: Path) -> tuple[Any, Any]:
    missing = [name for name in MODEL_FILES if not (model_dir / name).is_file()]
    if missing:
        raise EvaluationError(
            f"model folder {model_dir} has no {', '.join(missing)}; export the checkpoint again"
        )
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        _silence()
        model, report = AutoModelForCausalLM.from_pretrained(
            model_dir,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(model_dir, local_files_only=True)
    except Exception as error:
        raise EvaluationError(
            f"model folder {model_dir} is damaged: {type(error).__name__}: {error}"
        ) from error
    odd = sorted({*report["missing_keys"], *report["unexpected_keys"]} - {"lm_head.weight"})
    if odd:
        raise EvaluationError(
            f"model folder {model_dir} is damaged: weights and configuration differ in {odd[0]}"
        )
    model.requires_grad_(False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.eval().to(device), tokenizer


def _build_harness_model(model: Any, tokenizer: Any, batch_size: int) -> Any:
    """Return lm-eval's wrapper around a loaded model, without progress bars."""
    from lm_eval.models.huggingface import HFLM

    class QuietModel(HFLM):  # type: ignore[misc]
        def loglikelihood(self, requests: Any, disable_tqdm: bool = True) -> Any:
            return super().loglikelihood(requests, disable_tqdm=True)

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = True) -> Any:
            return super().loglikelihood_rolling(requests, disable_tqdm=True)

        def generate_until(self, requests: Any, disable_tqdm: bool = True) -> Any:
            return super().generate_until(requests, disable_tqdm=True)

        def _loglikelihood_tokens(
            self, requests: Any, disable_tqdm: bool = True, override_bs: int | None = None
        ) -> Any:
            return super()._loglikelihood_tokens(
                requests, disable_tqdm=True, override_bs=override_bs
            )

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return QuietModel(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)


def _silence() -> None:
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def _place(config: Mapping[str, Any], suite: Suite, cache: str) -> dict[str, Any]:
    """Return the task configuration with absolute paths: a suite may have been moved."""
    placed = copy.deepcopy(dict(config))
    file = placed["dataset_kwargs"]["data_files"]["test"]
    data_files = {"test": str((suite.path / file).resolve())}
    placed["dataset_kwargs"] = {"data_files": data_files, "cache_dir": cache}
    return placed


def _read_sample(sample: Mapping[str, Any], tokenizer: Any) -> Answer:
    responses = [group[0] for group in sample["resps"]]
    if isinstance(responses[0], str):
        return Answer(sample["doc"], text=responses[0])
    if isinstance(responses[0], tuple):  # (log-likelihood, whether greedy decoding gives it)
        return Answer(sample["doc"], tuple(float(value) for value, _ in responses))
    num_tokens = len(tokenizer.encode(sample["arguments"][0][0], add_special_tokens=False))
    return Answer(sample["doc"], tuple(map(float, responses)), num_tokens)


def _explain(model: Any, tokenizer: Any, suite: Suite) -> dict[str, float]:
    import torch

    from synnq_assets.evaluation.attribution import NUM_TOKENS, measure_attribution

    rows: Iterable[list[int]] = (
        tokenizer.encode(item["text"], add_special_tokens=False)[:NUM_TOKENS]
        for item in suite.items[ATTRIBUTION]
    )
    whole = [row for row in rows if len(row) == NUM_TOKENS]
    if not whole:
        return {}
    ids_BT = torch.tensor(whole, device=model.device)
    return measure_attribution(model, ids_BT, baseline_id=tokenizer.eos_token_id)
