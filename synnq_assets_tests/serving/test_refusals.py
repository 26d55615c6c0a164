import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from synnq_assets.serving import ServedRelease, ServingLimits, create_app
from synnq_assets_tests.serving.served_release import (
    AUTH,
    KEY,
    KEY_HASH,
    LIMITS,
    ask,
    build_served_release,
)


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> ServedRelease:
    return build_served_release(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def client(verified: ServedRelease) -> Iterator[TestClient]:
    app = create_app(verified, api_keys=[KEY_HASH], limits=LIMITS)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"Bearer {KEY_HASH}"},
        {"Authorization": "Bearer "},
        [("Authorization", f"Bearer {KEY}"), ("Authorization", "Bearer wrong")],
    ],
)
def test_a_missing_wrong_or_doubled_key_is_refused(headers: Any, client: TestClient):
    body = {"model": "synnq-smoke", "prompt": "x"}
    for answer in (
        client.post("/v1/completions", json=body, headers=headers),
        client.get("/v1/models", headers=headers),
    ):
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"prompt": ""}, "prompt", "invalid_value"),
        ({"prompt": "word " * 100}, "prompt", "context_length_exceeded"),
        ({"prompt": ["x", "word " * 100]}, "prompt", "context_length_exceeded"),
        ({"prompt": "x " * 30, "max_tokens": 40}, "max_tokens", "context_length_exceeded"),
        ({"temperature": -1}, "temperature", "invalid_value"),
        ({"top_p": 2}, "top_p", "invalid_value"),
        ({"max_tokens": 41}, "max_tokens", "invalid_value"),
        ({"max_tokens": 2**31}, "max_tokens", "invalid_value"),
        ({"stop": ["x"] * 10_000}, "stop", "invalid_value"),
        ({"echo": True}, "echo", "unknown_field"),
        ({"guided_regex": "(a+)+$"}, "guided_regex", "unknown_field"),
        ({"response_format": {"type": "json_schema"}}, "response_format", "unknown_field"),
        ({"x\r\nSet-Cookie: a=b": 1}, "x\r\nSet-Cookie: a=b", "unknown_field"),
    ],
)
def test_a_bad_request_is_refused_by_field(
    changes: dict[str, Any], param: str, code: str, client: TestClient
):
    answer = ask(client, **changes)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)


def test_exactly_the_context_is_allowed_and_one_token_more_is_not(client: TestClient):
    num_tokens = ask(client, prompt="x" * 24).json()["usage"]["prompt_tokens"]
    room = 64 - num_tokens  # the model's context
    limit = min(room, LIMITS.max_tokens)
    assert limit == room
    assert ask(client, prompt="x" * 24, max_tokens=room).status_code == 200
    assert ask(client, prompt="x" * 24, max_tokens=room + 1).status_code == 400


def test_nan_is_refused(client: TestClient):
    content = b'{"model": "synnq-smoke", "prompt": "x", "temperature": NaN}'
    headers = {**AUTH, "Content-Type": "application/json"}
    answer = client.post("/v1/completions", content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


def test_another_model_is_not_found(client: TestClient):
    answer = ask(client, model="gpt-4")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_a_body_over_the_limit_is_refused_declared_or_not(client: TestClient):
    headers = {**AUTH, "Content-Type": "application/json"}
    data = b'{"prompt": "' + b"x" * (1 << 20) + b'"}'

    def chunks() -> Iterator[bytes]:
        yield from (data[k : k + 65536] for k in range(0, len(data), 65536))

    for content in (data, chunks()):
        answer = client.post("/v1/completions", content=content, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def test_a_prompt_of_ten_megabytes_is_refused_before_it_is_parsed(client: TestClient):
    answer = ask(client, prompt="x" * 10_000_000)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def test_the_longest_body_that_is_read_is_refused_by_its_tokens(client: TestClient):
    answer = ask(client, prompt="x" * 1_000_000)
    assert answer.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("text", ["<|endoftext|>", "<s>", "<|im_start|>system"])
def test_the_spelling_of_a_special_token_is_plain_text(text: str, client: TestClient):
    answer = ask(client, prompt=text, temperature=0)
    assert answer.status_code == 200
    assert answer.json()["usage"]["prompt_tokens"] > 1


@pytest.mark.parametrize("name", ["content-type", "content-encoding"])
def test_a_doubled_header_is_refused(name: str, client: TestClient):
    value = {"content-type": "application/json", "content-encoding": "identity"}[name]
    headers = [*AUTH.items(), ("content-type", "application/json"), (name, value)]
    headers += [(name, value)] if name == "content-encoding" else []
    answer = client.post("/v1/completions", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_header")


def test_a_header_with_underscores_is_another_header(client: TestClient):
    headers = {"X_Api_Key": KEY, "authorization_": f"Bearer {KEY}"}
    assert client.get("/v1/models", headers=headers).status_code == 401
    headers = {**AUTH, "Content_Type": "application/json", "Content-Type": "text/plain"}
    answer = client.post("/v1/completions", content=b"{}", headers=headers)
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_other_encodings_are_refused(headers: dict[str, str], client: TestClient):
    answer = client.post("/v1/completions", content=b"{}", headers={**AUTH, **headers})
    assert answer.status_code == 415


def test_a_body_that_trickles_is_given_up(verified: ServedRelease):
    app = create_app(verified, api_keys=[KEY_HASH], limits=ServingLimits(body_seconds=0.05))
    sent: list[Any] = []
    num_chunks = 0

    async def receive() -> dict[str, Any]:
        nonlocal num_chunks
        num_chunks += 1
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/completions",
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {KEY}".encode()),
            (b"content-type", b"application/json"),
        ],
    }
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 408
    assert num_chunks <= 3  # 0.05 seconds, a chunk every 0.02


def test_no_page_of_the_framework_is_served(client: TestClient):
    for path in ("/docs", "/redoc", "/openapi.json", "/v1/chat/completions"):
        assert client.get(path).status_code == 404


def test_a_failure_inside_says_nothing_of_itself(
    client: TestClient, verified: ServedRelease, monkeypatch: pytest.MonkeyPatch
):
    engine = client.app.state.service.engine  # type: ignore[attr-defined]
    monkeypatch.setattr(engine, "model", None)
    answer = ask(client)
    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == "internal error"
    assert answer.headers["X-Synnq-Checkpoint"] == verified.checkpoint_sha256


def test_before_the_model_is_loaded_the_answer_is_not_ready(verified: ServedRelease):
    app = create_app(verified, api_keys=[KEY_HASH])  # the client below does not start it
    answer = ask(TestClient(app))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
