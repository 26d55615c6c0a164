import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.serving.limits import ServingLimits
from synnq_assets.serving.protocol import (
    CompletionRequest,
    RequestError,
    parse_request,
    plan_tokens,
    render_event,
)

LIMITS = ServingLimits()


def encode(**changes: object) -> bytes:
    return json.dumps({"model": "m", "prompt": "x", **changes}).encode()


def test_defaults_are_those_of_the_api():
    request = parse_request(encode(), LIMITS)
    assert request == CompletionRequest.model_validate(
        {"model": "m", "prompt": "x", "temperature": 1.0, "top_p": 1.0, "stream": False}
    )
    assert (request.prompt, request.stop, request.seed) == (("x",), (), None)


def test_a_null_counts_as_absent():
    assert parse_request(encode(temperature=None, stop=None, n=None), LIMITS) == parse_request(
        encode(), LIMITS
    )


def test_an_integer_temperature_is_a_number():
    assert parse_request(encode(temperature=0, top_p=1), LIMITS).temperature == 0.0


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", ""]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": ["x"] * 9}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"model": 1}, "model"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.01}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1025}, "max_tokens"),
        ({"max_tokens": 2**31}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": ["a"] * 10_000}, "stop"),
        ({"stop": "a" * 257}, "stop"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"n": 2}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"logprobs": 1}, "logprobs"),
        ({"guided_regex": "(a+)+"}, "guided_regex"),
    ],
)
def test_a_bad_field_is_refused_by_name(changes: dict[str, object], param: str):
    with pytest.raises(RequestError) as caught:
        parse_request(encode(**changes), LIMITS)
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"model": "m", "prompt": "x", "prompt": "y"}',
        b'{"model": "m", "prompt": "x", "temperature": NaN}',
        b'{"model": "m", "prompt": "x", "temperature": 1e999}',
        b'{"model": "m", "prompt": "\\ud800"}',
        b'{"model": "m", "prompt": "\xff"}',
        b"[" * 100_000,
        b'\xef\xbb\xbf{"model": "m", "prompt": "x"}',
    ],
)
def test_a_body_that_readers_disagree_on_is_refused(body: bytes):
    with pytest.raises(RequestError) as caught:
        parse_request(body, LIMITS)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_a_refusal_never_repeats_the_prompt():
    with pytest.raises(RequestError) as caught:
        parse_request(encode(prompt=["my secret text", 1]), LIMITS)
    assert "secret" not in str(caught.value)


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda child: (
            st.lists(child, max_size=3)
            | st.dictionaries(
                st.sampled_from(["model", "prompt", "stop", "n", "x"]), child, max_size=5
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_body_is_a_request_or_a_typed_refusal(body: bytes):
    status = 200
    try:
        parse_request(body, LIMITS)
    except RequestError as error:
        status = error.status
    assert status in (200, 400)


def test_prompt_and_completion_share_the_context():
    assert plan_tokens(60, 4, 64, LIMITS) == 4  # fits exactly
    assert plan_tokens(10, None, 64, LIMITS) == 16  # the default
    assert plan_tokens(60, None, 64, LIMITS) == 4  # what is left
    for num_prompt_tokens, max_tokens, param in ((60, 5, "max_tokens"), (64, None, "prompt")):
        with pytest.raises(RequestError) as caught:
            plan_tokens(num_prompt_tokens, max_tokens, 64, LIMITS)
        assert (caught.value.code, caught.value.param) == ("context_length_exceeded", param)


@given(st.text())
def test_an_event_is_one_line_whatever_the_text(text: str):
    event = render_event({"text": text}).decode()
    assert event.startswith("data: ")
    assert event.endswith("\n\n")
    assert "\n" not in event[:-2]
    assert "\r" not in event
    assert json.loads(event[6:])["text"] == text
