"""One nano model through lm-eval: about ten seconds, nearly all of it imports."""

import math
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from synnq_assets.errors import EvaluationError
from synnq_assets.evaluation import build_suite, evaluate_model, judge_checkpoint, open_suite
from synnq_assets.modeling.models import (
    build_model,
    load_weights,
    mean_loss,
    named_weights,
    read_weights,
    write_weights,
)
from synnq_assets_tests.evaluation.samples import sample_texts, write_holdout, write_model


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("evaluation")
    recipe, model_dir = write_model(folder / "model")
    files = write_holdout(folder / "holdout", sample_texts())
    suite = build_suite(files, recipe.evaluation, folder / "built")
    shutil.move(suite.path, folder / "suite")
    figures = evaluate_model(model_dir, folder / "suite", recipe.evaluation)
    return recipe, model_dir, folder / "suite", figures


def read_tokenizer(model_dir):
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(model_dir / "tokenizer.json"))


def test_an_untrained_model_is_as_unsure_as_its_vocabulary_is_large(measured):
    recipe, _, _, figures = measured
    assert figures.headline_perplexity == pytest.approx(recipe.tokenizer.vocab_size, rel=0.05)
    assert 0.0 <= figures.headline_f1 <= 1.0
    assert figures.headline_f1 == pytest.approx(
        (figures.figures["f1/language"] + figures.figures["f1/sector"]) / 2
    )


def test_perplexity_agrees_with_the_models_own_loss(measured):
    recipe, model_dir, suite, figures = measured
    model = build_model(recipe)
    load_weights(model, read_weights(model_dir / "model.safetensors"))
    tokenizer = read_tokenizer(model_dir)
    nats, num_tokens = 0.0, 0
    for item in open_suite(suite).items["perplexity"]:
        if item["cell"] == "de.health":
            # Windows of 64 tokens; each is preceded by the last token before it, or end-of-text.
            ids = [0, *tokenizer.encode(item["text"]).ids]
            for k in range(0, len(ids) - 1, recipe.model.context_tokens):
                window = ids[k : k + recipe.model.context_tokens + 1]
                if k + len(window) == len(ids) and k:  # the last one is filled up from the left
                    continue
                nats += mean_loss(model, np.array([window])) * (len(window) - 1)
                num_tokens += len(window) - 1
            tail = (len(ids) - 1) % recipe.model.context_tokens
            if len(ids) - 1 > recipe.model.context_tokens and tail:
                nats += tail_loss(model, ids[-(recipe.model.context_tokens + 1) :], tail)
                num_tokens += tail
    expected = math.exp(nats / num_tokens)
    assert figures.figures["perplexity/de.health"] == pytest.approx(expected, rel=1e-4)


def tail_loss(model, window, tail):
    """Sum of the loss over the last `tail` tokens of a window."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([window[:-1]])).logits[0]
    losses = torch.nn.functional.cross_entropy(logits, torch.tensor(window[1:]), reduction="none")
    return float(losses[-tail:].sum())


def test_every_family_of_figures_is_there_and_finite(measured):
    figures = measured[-1]
    assert all(math.isfinite(value) for value in figures.figures.values())
    for name in (
        "perplexity/fi.energy",
        "perplexity/fi",
        "perplexity/domain/energy",
        "bits_per_byte/all",
        "f1/language",
        "accuracy/sector",
        "bias/gap_low",
        "toxicity/share",
        "toxicity/preference",
        "attribution/comprehensiveness",
    ):
        assert name in figures.figures
    assert figures.figures["attribution/completeness_error"] < 0.05
    assert figures.plot_png.startswith(b"\x89PNG")
    assert "| fi |" in figures.tables["Perplexity"]
    assert "f1/sector" in figures.tables["Figures"]


def test_the_same_model_measures_the_same(measured):
    recipe, model_dir, suite, figures = measured
    assert evaluate_model(model_dir, suite, recipe.evaluation).figures == figures.figures


def test_a_model_without_numbers_is_measured_and_rolled_back(measured, tmp_path):
    recipe, model_dir, suite, _ = measured
    folder = shutil.copytree(model_dir, tmp_path / "broken")
    model = build_model(recipe)
    weights = {name: torch.full_like(w, math.nan) for name, w in named_weights(model).items()}
    write_weights(folder / "model.safetensors", weights, metadata={})
    broken = evaluate_model(folder, suite, recipe.evaluation)
    assert math.isnan(broken.headline_perplexity)
    record = judge_checkpoint(
        round_key="r0001",
        checkpoint_sha256="d" * 64,
        figures=broken,
        parent=None,
        settings=recipe.evaluation,
    )
    assert record.decision == "rolled_back"
    assert "not a finite number" in record.reason


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_is_refused(measured, tmp_path, name):
    recipe, model_dir, suite, _ = measured
    folder = shutil.copytree(model_dir, tmp_path / "model")
    (folder / name).unlink()
    with pytest.raises(EvaluationError, match=f"has no {name}"):
        evaluate_model(folder, suite, recipe.evaluation)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_with_a_truncated_file_is_refused(measured, tmp_path, name):
    recipe, model_dir, suite, _ = measured
    folder = shutil.copytree(model_dir, tmp_path / "model")
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(EvaluationError, match="is damaged"):
        evaluate_model(folder, suite, recipe.evaluation)


def test_a_missing_weight_is_an_error_and_not_a_random_number(measured, tmp_path):
    recipe, model_dir, suite, _ = measured
    folder = shutil.copytree(model_dir, tmp_path / "model")
    weights = read_weights(folder / "model.safetensors")
    del weights["model.layers.0.self_attn.q_proj.weight"]
    write_weights(folder / "model.safetensors", weights, metadata={})
    with pytest.raises(EvaluationError, match=r"differ in model\.layers\.0\.self_attn\.q_proj"):
        evaluate_model(folder, suite, recipe.evaluation)


def test_the_written_yaml_is_a_task_for_lm_eval_itself(measured, monkeypatch):
    from lm_eval.tasks import TaskManager

    _, _, suite, _ = measured
    monkeypatch.chdir(suite)
    manager = TaskManager(include_path=".", include_defaults=False)
    names = [f"synnq_{name}" for name in open_suite(suite).tasks]
    assert sorted(manager.all_tasks) == sorted(names)
    loaded = manager.load(names)["tasks"]
    assert len(list(loaded["synnq_sector"].test_docs())) == len(open_suite(suite).items["sector"])


def test_importing_the_room_loads_no_heavy_library():
    code = (
        "import sys, synnq_assets.evaluation as room;"
        "heavy = {'torch', 'lm_eval', 'transformers', 'matplotlib', 'pyarrow', 'datasets'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
