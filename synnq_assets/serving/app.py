"""The endpoints; FastAPI's only door.

Every answer, errors included, names the checkpoint in its body and in `X-Synnq-Checkpoint`.
Prompts and texts are never logged, nor what an error says of them.
"""

import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Depends, FastAPI, Request
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from synnq_assets.errors import ServingError
from synnq_assets.serving.engine import Engine
from synnq_assets.serving.keys import is_known_key
from synnq_assets.serving.limits import ServedRelease, ServingLimits
from synnq_assets.serving.protocol import (
    AnswerHead,
    Choice,
    CompletionRequest,
    RequestError,
    parse_request,
    plan_tokens,
    render_error,
    render_event,
    render_usage,
)
from synnq_assets.serving.reading import read_body

CHECKPOINT_HEADER = "X-Synnq-Checkpoint"
MARK_HEADER = "X-Synnq-Provenance"
MARK = "ai-generated"


@dataclass
class Service:
    """What the endpoints share."""

    verified: ServedRelease
    key_hashes: tuple[str, ...]
    limits: ServingLimits
    started_at: int  # Unix seconds
    engine: Engine | None = None

    def answer(self, value: object, *, status: int = 200, is_generated: bool = False) -> Response:
        """Return a JSON answer with its headers."""
        return JSONResponse(value, status_code=status, headers=self.headers(is_generated))

    def headers(self, is_generated: bool) -> dict[str, str]:
        """Return the headers that name the checkpoint, and mark generated text."""
        headers = {
            CHECKPOINT_HEADER: self.verified.checkpoint_sha256,
            "Cache-Control": "no-store",
        }
        return {**headers, MARK_HEADER: MARK} if is_generated else headers

    def require_engine(self) -> Engine:
        """Return the loaded model."""
        if self.engine is None:
            raise RequestError(503, "the model is not loaded yet", code="not_ready")
        return self.engine


class DiscreetErrors:
    """Pass an error on by its class and place only: its text may hold a prompt, and is logged."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand between the endpoints and the server."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the endpoints do."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise ServingError(
                f"{type(error).__name__} in {place.name}, line {place.lineno} of {place.filename}"
            ) from None


@dataclass(frozen=True)
class PlannedCompletion:
    """One prompt of a request, encoded."""

    index: int
    ids: list[int]
    num_tokens: int


def build_app(
    verified: ServedRelease, *, key_hashes: tuple[str, ...], limits: ServingLimits
) -> FastAPI:
    """Return the application; the model is loaded when it starts."""
    service = Service(verified, key_hashes, limits, int(time.time()))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.engine = Engine(verified.folder, threads=limits.threads)
        yield
        service.engine = None

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.service = service
    app.add_middleware(DiscreetErrors)
    app.add_api_route("/healthz", _read_health, methods=["GET"], response_model=None)
    guarded = [Depends(_require_key)]
    app.add_api_route(
        "/v1/models", _list_models, methods=["GET"], response_model=None, dependencies=guarded
    )
    app.add_api_route(
        "/v1/completions", _complete, methods=["POST"], response_model=None, dependencies=guarded
    )
    app.add_exception_handler(RequestError, _answer_refusal)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(Exception, _answer_failure)
    return app


def _find_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _answer_refusal(request: Request, error: Exception) -> Response:
    service = _find_service(request)
    if not isinstance(error, RequestError):
        raise error
    answer = service.answer(render_error(error, service.verified), status=error.status)
    if error.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


async def _answer_http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    known = {404: ("no such endpoint", "not_found"), 405: ("no such method", "method_not_allowed")}
    message, code = known.get(status, ("refused", "refused"))
    return await _answer_refusal(request, RequestError(status, message, code=code))


async def _answer_failure(request: Request, error: Exception) -> Response:
    return await _answer_refusal(request, RequestError(500, "internal error", code="internal"))


async def _require_key(request: Request) -> None:
    values = request.headers.getlist("authorization")
    scheme, _, key = (values[0] if len(values) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not is_known_key(key, _find_service(request).key_hashes):
        raise RequestError(
            401, "send a valid API key as `Authorization: Bearer KEY`", code="invalid_api_key"
        )


async def _read_health(request: Request) -> Response:
    service = _find_service(request)
    verified = service.verified
    return service.answer(
        {
            "status": "ok",
            "system_fingerprint": verified.fingerprint,
            "checkpoint_sha256": verified.checkpoint_sha256,
        }
    )


async def _list_models(request: Request) -> Response:
    service = _find_service(request)
    verified = service.verified
    model = {
        "id": verified.model_name,
        "object": "model",
        "created": service.started_at,
        "owned_by": "synnq",
        "round": verified.round,
        "checkpoint_sha256": verified.checkpoint_sha256,
    }
    return service.answer(
        {
            "object": "list",
            "data": [model],
            "system_fingerprint": verified.fingerprint,
            "checkpoint_sha256": verified.checkpoint_sha256,
        }
    )


def _plan(
    engine: Engine, request: CompletionRequest, limits: ServingLimits
) -> list[PlannedCompletion]:
    plans = []
    for index, text in enumerate(request.prompt):
        ids = engine.encode(text)
        budget = plan_tokens(len(ids), request.max_tokens, engine.context_tokens, limits)
        plans.append(PlannedCompletion(index, ids, budget))
    return plans


async def _complete(request: Request) -> Response:
    service = _find_service(request)
    wanted = parse_request(await read_body(request, service.limits), service.limits)
    if wanted.model != service.verified.model_name:
        raise RequestError(
            404,
            f"this server has one model: {service.verified.model_name}",
            param="model",
            code="model_not_found",
        )
    engine = service.require_engine()
    plans = await run_in_threadpool(_plan, engine, wanted, service.limits)
    head = AnswerHead(service.verified, int(time.time()))
    if wanted.stream:
        return StreamingResponse(
            _stream(engine, wanted, plans, head),
            media_type="text/event-stream",
            headers=service.headers(is_generated=True),
        )
    choices, num_tokens = await run_in_threadpool(_generate_all, engine, wanted, plans)
    usage = render_usage(sum(len(plan.ids) for plan in plans), num_tokens)
    return service.answer(head.render(choices, usage), is_generated=True)


def _generate_all(
    engine: Engine, request: CompletionRequest, plans: list[PlannedCompletion]
) -> tuple[list[Choice], int]:
    choices, num_tokens = [], 0
    for plan in plans:
        pieces = list(engine.generate(plan.ids, request, plan.num_tokens))
        text = "".join(piece.text for piece in pieces)
        choices.append(Choice(plan.index, text, pieces[-1].finish_reason))
        num_tokens += pieces[-1].num_tokens
    return choices, num_tokens


async def _stream(
    engine: Engine,
    request: CompletionRequest,
    plans: list[PlannedCompletion],
    head: AnswerHead,
) -> AsyncIterator[bytes]:
    for plan in plans:
        pieces = engine.generate(plan.ids, request, plan.num_tokens)
        async for piece in iterate_in_threadpool(pieces):
            choice = Choice(plan.index, piece.text, piece.finish_reason)
            yield render_event(head.render([choice]))
    yield render_event("[DONE]")
