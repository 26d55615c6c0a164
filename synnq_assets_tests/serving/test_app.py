import time
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from synnq_assets.serving import ServedRelease, create_app
from synnq_assets_tests.serving.served_release import (
    AUTH,
    KEY_HASH,
    LIMITS,
    ask,
    build_served_release,
    read_events,
)


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> ServedRelease:
    return build_served_release(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def client(verified: ServedRelease) -> Iterator[TestClient]:
    app = create_app(verified, api_keys=[KEY_HASH], limits=LIMITS)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_a_completion_has_the_shape_that_clients_read(client: TestClient):
    answer = ask(client, temperature=0).json()
    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl-")
    assert abs(answer["created"] - time.time()) < 60
    (choice,) = answer["choices"]
    assert choice["index"] == 0
    assert choice["finish_reason"] in ("stop", "length")
    usage = answer["usage"]
    assert 1 <= usage["completion_tokens"] <= 8
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_every_answer_names_the_checkpoint(client: TestClient, verified: ServedRelease):
    answers = [
        client.get("/healthz"),
        client.get("/v1/models", headers=AUTH),
        ask(client),
        ask(client, temperature=-1),
        client.get("/v1/models"),
        client.get("/nowhere", headers=AUTH),
        client.get("/v1/completions", headers=AUTH),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400, 401, 404, 405]
    for answer in answers:
        assert answer.headers["X-Synnq-Checkpoint"] == verified.checkpoint_sha256
        assert answer.json()["checkpoint_sha256"] == verified.checkpoint_sha256
        assert answer.json()["system_fingerprint"] == f"synnq-{verified.checkpoint_sha256[:16]}"


def test_generated_text_is_marked_as_generated(client: TestClient, verified: ServedRelease):
    answer = ask(client)
    assert answer.headers["X-Synnq-Provenance"] == "ai-generated"
    mark = answer.json()["provenance"]
    assert mark["is_generated"] is True
    assert mark["model"] == "synnq-smoke"
    assert mark["checkpoint_sha256"] == verified.checkpoint_sha256
    assert mark["created"] == answer.json()["created"]
    assert "X-Synnq-Provenance" not in client.get("/healthz").headers


def test_models_lists_the_one_model(client: TestClient):
    (model,) = client.get("/v1/models", headers=AUTH).json()["data"]
    assert (model["id"], model["object"], model["round"]) == ("synnq-smoke", "model", "r0003")


def test_temperature_zero_gives_the_same_text(client: TestClient):
    texts = {ask(client, temperature=0).json()["choices"][0]["text"] for _ in range(3)}
    assert len(texts) == 1


def test_a_seed_gives_the_same_text_and_another_seed_another(client: TestClient):
    first, again, other = (
        ask(client, seed=seed, max_tokens=30).json()["choices"][0]["text"] for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other


def test_without_a_seed_texts_differ(client: TestClient):
    texts = {ask(client, max_tokens=30).json()["choices"][0]["text"] for _ in range(3)}
    assert len(texts) > 1


def test_several_prompts_are_answered_each_as_if_alone(client: TestClient):
    prompts = ["Die Richtlinie", "Il regolamento"]
    choices = ask(client, prompt=prompts, seed=3).json()["choices"]
    assert [choice["index"] for choice in choices] == [0, 1]
    for prompt, choice in zip(prompts, choices, strict=True):
        alone = ask(client, prompt=prompt, seed=3).json()["choices"][0]
        assert choice["text"] == alone["text"]


def test_a_stream_joins_to_the_same_text_and_marks_each_piece(
    client: TestClient, verified: ServedRelease
):
    body = {"prompt": ["Die Richtlinie", "Asetus"], "seed": 11, "max_tokens": 30}
    whole = ask(client, **body).json()["choices"]
    answer = ask(client, **body, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["X-Synnq-Checkpoint"] == verified.checkpoint_sha256
    assert answer.headers["X-Synnq-Provenance"] == "ai-generated"
    events = read_events(answer.text)
    assert len({event["id"] for event in events}) == 1
    assert all(event["provenance"]["is_generated"] for event in events)
    assert all(event["checkpoint_sha256"] == verified.checkpoint_sha256 for event in events)
    for index in (0, 1):
        pieces = [e["choices"][0] for e in events if e["choices"][0]["index"] == index]
        assert "".join(piece["text"] for piece in pieces) == whole[index]["text"]
        reasons = [piece["finish_reason"] for piece in pieces]
        assert reasons[:-1] == [None] * (len(pieces) - 1)
        assert reasons[-1] == whole[index]["finish_reason"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_cuts_the_text(stream: bool, client: TestClient):
    whole = ask(client, seed=2, max_tokens=30).json()["choices"][0]["text"]
    stop = whole[5:8]
    answer = ask(client, seed=2, max_tokens=30, stop=[stop, "no such text"], stream=stream)
    choices = (
        [event["choices"][0] for event in read_events(answer.text)]
        if stream
        else answer.json()["choices"]
    )
    assert "".join(choice["text"] for choice in choices) == whole[: whole.index(stop)]
    assert choices[-1]["finish_reason"] == "stop"


def test_length_is_the_reason_where_the_budget_ends(client: TestClient):
    answer = ask(client, seed=5, max_tokens=1).json()
    assert answer["usage"]["completion_tokens"] == 1
    assert answer["choices"][0]["finish_reason"] == "length"


def test_a_control_token_in_the_prompt_is_text(client: TestClient):
    usage = ask(client, prompt="<|endoftext|>", temperature=0).json()["usage"]
    assert usage["prompt_tokens"] > 1
