"""Requests parsed strictly; answers and errors as JSON in the shape that OpenAI's clients read.

Unknown fields are refused, so that a client never believes in an option that has no effect.
Source: OpenAI API reference, "Completions"; HTML Living Standard, "Server-sent events".
"""

import json
import secrets
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from synnq_assets import __version__
from synnq_assets.errors import RecordError, ServingError
from synnq_assets.records.base import parse_strict_json
from synnq_assets.serving.limits import ServedRelease, ServingLimits

FinishReason = Literal["stop", "length"]
DEFAULT_MAX_TOKENS = 16  # as in OpenAI's API


class RequestError(ServingError):
    """A request that is refused, with the HTTP status and the code that the client sees."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        """Say what is wrong, and with which field."""
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


def _split_texts(value: object) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("must be a string or a list of strings")
    if not texts or not all(texts):
        raise ValueError("must not be empty")
    return tuple(texts)


Texts = Annotated[tuple[str, ...], BeforeValidator(_split_texts)]


class CompletionRequest(BaseModel):
    """The body of POST /v1/completions. A null counts as absent."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    model: str
    prompt: Texts
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=1.0, ge=0.0, le=2.0)  # 0: the likeliest token
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    stop: Texts = ()
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    n: Literal[1] = 1
    stream: bool = False


def parse_request(body: bytes, limits: ServingLimits) -> CompletionRequest:
    """Parse and bound a request.

    Raises:
        RequestError: not strict JSON, a field is unknown, missing or out of range, or too much is
            asked for. The message names the field, never its content.
    """
    try:
        value = parse_strict_json(body, max_bytes=limits.max_body_bytes)
    except RecordError as error:
        raise RequestError(400, f"the body is {error}", code="invalid_json") from error
    if not isinstance(value, dict):
        raise RequestError(400, "the body must be a JSON object", code="invalid_json")
    present = {name: item for name, item in value.items() if item is not None}
    try:
        request = CompletionRequest.model_validate(present)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        param = str(first["loc"][0])[:40]
        if first["type"] == "extra_forbidden":
            raise RequestError(
                400, f"unknown field {param!r}", param=param, code="unknown_field"
            ) from error
        raise RequestError(
            400, f"{param}: {first['msg']}", param=param, code="invalid_value"
        ) from error
    _check_bounds(request, limits)
    return request


def _check_bounds(request: CompletionRequest, limits: ServingLimits) -> None:
    rules = (
        (len(request.prompt) > limits.max_prompts, "prompt", f"at most {limits.max_prompts} texts"),
        (len(request.stop) > limits.max_stops, "stop", f"at most {limits.max_stops} texts"),
        (
            any(len(text) > limits.max_stop_characters for text in request.stop),
            "stop",
            f"at most {limits.max_stop_characters} characters each",
        ),
        (
            (request.max_tokens or 0) > limits.max_tokens,
            "max_tokens",
            f"at most {limits.max_tokens}",
        ),
    )
    for is_broken, param, rule in rules:
        if is_broken:
            raise RequestError(400, f"{param}: {rule}", param=param, code="invalid_value")


def plan_tokens(
    num_prompt_tokens: int, max_tokens: int | None, context_tokens: int, limits: ServingLimits
) -> int:
    """Return how many tokens one completion may have.

    Raises:
        RequestError: prompt and completion do not fit into the model's context.
    """
    room = context_tokens - num_prompt_tokens
    if room < (max_tokens or 1):
        raise RequestError(
            400,
            f"the model's context has {context_tokens} tokens; {num_prompt_tokens} in the prompt "
            f"and {max_tokens or 1} in the completion do not fit",
            param="prompt" if room < 1 else "max_tokens",
            code="context_length_exceeded",
        )
    return max_tokens or min(DEFAULT_MAX_TOKENS, room, limits.max_tokens)


@dataclass(frozen=True)
class Choice:
    """One completion, or one piece of it."""

    index: int
    text: str
    finish_reason: FinishReason | None


@dataclass(frozen=True)
class AnswerHead:
    """What all pieces of one answer share."""

    verified: ServedRelease
    created: int  # Unix seconds
    answer_id: str = field(default_factory=lambda: f"cmpl-{secrets.token_hex(16)}")

    def render(self, choices: list[Choice], usage: dict[str, int] | None = None) -> dict[str, Any]:
        """Return a `text_completion` object, marked as generated (AI Act Art. 50(2))."""
        verified = self.verified
        rows = [
            {
                "index": choice.index,
                "text": choice.text,
                "logprobs": None,
                "finish_reason": choice.finish_reason,
            }
            for choice in choices
        ]
        answer = {
            "id": self.answer_id,
            "object": "text_completion",
            "created": self.created,
            "model": verified.model_name,
            "choices": rows,
            "system_fingerprint": verified.fingerprint,
            "checkpoint_sha256": verified.checkpoint_sha256,
            "provenance": {
                "is_generated": True,
                "generated_by": f"synnq-assets/{__version__}",
                "model": verified.model_name,
                "round": verified.round,
                "checkpoint_sha256": verified.checkpoint_sha256,
                "created": self.created,
            },
        }
        return answer if usage is None else {**answer, "usage": usage}


def render_usage(num_prompt_tokens: int, num_completion_tokens: int) -> dict[str, int]:
    """Return token counts as OpenAI's clients read them."""
    return {
        "prompt_tokens": num_prompt_tokens,
        "completion_tokens": num_completion_tokens,
        "total_tokens": num_prompt_tokens + num_completion_tokens,
    }


def render_error(error: RequestError, verified: ServedRelease) -> dict[str, Any]:
    """Return an error object; it names the checkpoint as every answer does."""
    kinds = {401: "authentication_error", 404: "not_found_error", 500: "server_error"}
    return {
        "error": {
            "message": str(error),
            "type": kinds.get(error.status, "invalid_request_error"),
            "param": error.param,
            "code": error.code,
        },
        "system_fingerprint": verified.fingerprint,
        "checkpoint_sha256": verified.checkpoint_sha256,
    }


def render_event(value: dict[str, Any] | str) -> bytes:
    """Return one server-sent event; JSON never holds a raw line break, so one line suffices."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return f"data: {text}\n\n".encode()
