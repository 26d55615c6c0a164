from pathlib import Path

import pytest

from synnq_assets.errors import ServingError
from synnq_assets_tests.release.release_folder import build_small_release

torch = pytest.importorskip("torch")

from synnq_assets.serving.engine import Engine, select_token  # noqa: E402
from synnq_assets.serving.protocol import CompletionRequest  # noqa: E402


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = build_small_release(tmp_path_factory.mktemp("engine")).folder
    return Engine(folder, threads=1)


def draw(probabilities: list[float], *, temperature: float, top_p: float) -> set[int]:
    logits = torch.tensor(probabilities).log()
    generator = torch.Generator().manual_seed(5)
    return {
        select_token(logits, temperature=temperature, top_p=top_p, generator=generator)
        for _ in range(400)
    }


def test_temperature_zero_takes_the_likeliest():
    assert draw([0.2, 0.5, 0.3], temperature=0.0, top_p=1.0) == {1}


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p():
    # sorted: 0.5, 0.3, 0.2; 0.5 < 0.6 <= 0.8, so two tokens
    assert draw([0.2, 0.5, 0.3], temperature=1.0, top_p=0.6) == {1, 2}
    assert draw([0.2, 0.5, 0.3], temperature=1.0, top_p=0.4) == {1}
    assert draw([0.2, 0.5, 0.3], temperature=1.0, top_p=1.0) == {0, 1, 2}


def test_a_tiny_temperature_does_not_overflow():
    assert draw([0.2, 0.5, 0.3], temperature=5e-324, top_p=1.0) == {1}


def test_temperature_sharpens_as_the_formula_says():
    logits = torch.tensor([0.0, 1.0])
    generator = torch.Generator().manual_seed(1)
    drawn = [
        select_token(logits, temperature=0.5, top_p=1.0, generator=generator) for _ in range(4000)
    ]
    # softmax([0, 1] / 0.5)[1] = 1 / (1 + e^-2) = 0.8808; three standard errors are 0.0154
    assert abs(sum(drawn) / 4000 - 0.8808) < 0.0154


def test_control_tokens_in_a_prompt_are_text(engine: Engine):
    ids = engine.encode("a<|endoftext|>b")
    assert 0 not in ids
    assert engine.tokenizer.decode(ids) == "a<|endoftext|>b"


def test_cached_generation_equals_the_library(engine: Engine):
    ids = engine.encode("Die Richtlinie gilt für")
    expected = engine.model.generate(
        torch.tensor([ids]), max_new_tokens=12, do_sample=False, eos_token_id=None
    )[0, len(ids) :].tolist()
    request = CompletionRequest(model="m", prompt="x", temperature=0.0)
    assert list(engine._iter_tokens(ids, request, 12)) == expected


def test_the_end_token_ends_a_completion(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    ids = engine.encode("Il regolamento")
    request = CompletionRequest(model="m", prompt="x", temperature=2.0, seed=4)
    first, second, third = engine._iter_tokens(ids, request, 3)
    assert third not in (first, second)
    monkeypatch.setattr(engine, "_end_token", third)
    pieces = list(engine.generate(ids, request, 10))
    assert (pieces[-1].finish_reason, pieces[-1].num_tokens) == ("stop", 2)
    text = "".join(piece.text for piece in pieces)
    assert text == engine.tokenizer.decode([first, second])


def test_ids_without_text_are_never_drawn(engine: Engine):
    size = engine.tokenizer.get_vocab_size()
    assert size < engine.model.config.vocab_size
    request = CompletionRequest(model="m", prompt="x", temperature=2.0, seed=1)
    drawn = list(engine._iter_tokens(engine.encode("x"), request, 60))
    assert max(drawn) < size


def test_an_abandoned_completion_holds_nothing(engine: Engine):
    request = CompletionRequest(model="m", prompt="x", temperature=0.0)
    abandoned = engine.generate(engine.encode("x"), request, 20)
    next(abandoned)
    assert len(list(engine.generate(engine.encode("x"), request, 3))) >= 1


def test_a_folder_that_does_not_load_is_a_serving_error(tmp_path: Path):
    with pytest.raises(ServingError, match="cannot load the release"):
        Engine(tmp_path, threads=1)
