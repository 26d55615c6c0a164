"""The endpoints; FastAPI's other door. Who asks is in the connection's state, put there by TLS.

GET    /v1/orders                              this node's open orders, as signed
GET    /v1/orders/ID/files/NAME                a file of the job folder; one range of bytes
PUT    /v1/assignments/ID/blobs/SHA256         declare an upload: Upload-Length
HEAD   /v1/assignments/ID/blobs/SHA256         how far it is: Upload-Offset, Upload-Length
PATCH  /v1/assignments/ID/blobs/SHA256         add bytes at Upload-Offset
DELETE /v1/assignments/ID/blobs/SHA256         forget it
PUT    /v1/assignments/ID/manifest             complete the submission
GET    /v1/assignments/ID/receipt              proof of arrival or verdict
"""

import asyncio
import logging
import re
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from synnq_assets.errors import SynnqError
from synnq_assets.gateway.orders import (
    RECIPE_FILE,
    get_open_order,
    get_own_order,
    list_files,
    list_open_orders,
    read_envelope,
    render_recipe,
)
from synnq_assets.gateway.reading import iter_blocks, read_body, read_number, verify_headers
from synnq_assets.gateway.refusals import RefusalError
from synnq_assets.gateway.service import Gateway
from synnq_assets.records.federation import NodeRecord

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_BLOB = "/v1/assignments/{assignment_id}/blobs/{sha256}"
_LOG = logging.getLogger(__name__)
_NO_STORE = {"Cache-Control": "no-store"}


class Admission:
    """Around every request, known path or not: who asks, how often, and what a refusal says."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        """Stand before the endpoints."""
        self._app = app
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_started = False

        async def send_noting(message: Message) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        try:
            await self._let_in(scope, receive, send_noting)
            return
        except ClientDisconnect:
            return
        except RefusalError as error:
            refusal = error
        except Exception as error:  # by class and place only: its text may be a stranger's
            place = traceback.extract_tb(error.__traceback__)[-1]
            kind = type(error).__name__
            _LOG.error("%s in %s, line %s of %s", kind, place.name, place.lineno, place.filename)
            refusal = RefusalError(500, "internal", "the gateway failed; try again later")
        peer = scope.get("state", {}).get("peer")
        if peer is not None and peer.node_id is not None:
            self._gateway.refusals.count(peer.node_id, refusal.reason)
        if not is_started:
            headers = {**_NO_STORE, **refusal.headers}
            answer = JSONResponse(refusal.render(), refusal.status, headers=headers)
            await answer(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("state", {}).get("peer")
        if peer is None or peer.node_id is None:
            raise RefusalError(403, "no_node_certificate", "this is not a node's certificate")
        scope["state"]["node"] = await run_in_threadpool(
            self._gateway.admit, peer.node_id, serial=peer.serial, expires_at=peer.expires_at
        )
        verify_headers(Request(scope), self._gateway.limits.max_head_bytes)
        with self._gateway.counting(peer.node_id):
            await self._app(scope, receive, send)


def build_app(gateway: Gateway) -> FastAPI:
    """Return the application; what a killed gateway left is put right when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(gateway.inbox.recover)
        reporting = asyncio.create_task(_report(gateway))
        yield
        reporting.cancel()
        with suppress(asyncio.CancelledError):
            await reporting
        await run_in_threadpool(gateway.refusals.flush, gateway.home.audit)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.gateway = gateway
    app.add_middleware(Admission, gateway=gateway)
    app.add_exception_handler(HTTPException, _refuse_unknown)
    for path, endpoint, method in (
        ("/v1/orders", _list_orders, "GET"),
        ("/v1/orders/{assignment_id}/files/{name:path}", _read_file, "GET"),
        (_BLOB, _declare, "PUT"),
        (_BLOB, _describe, "HEAD"),
        (_BLOB, _append, "PATCH"),
        (_BLOB, _discard, "DELETE"),
        ("/v1/assignments/{assignment_id}/manifest", _complete, "PUT"),
        ("/v1/assignments/{assignment_id}/receipt", _read_receipt, "GET"),
    ):
        app.add_api_route(path, endpoint, methods=[method], response_model=None)
    return app


async def _report(gateway: Gateway) -> None:
    while True:
        await asyncio.sleep(gateway.limits.report_seconds)
        try:
            await run_in_threadpool(gateway.refusals.flush, gateway.home.audit)
            await run_in_threadpool(gateway.inbox.sweep, gateway.is_open)
        except SynnqError as error:
            _LOG.error("%s; refusals are counted on", error)


async def _refuse_unknown(request: Request, error: Exception) -> Response:
    raise RefusalError(404, "no_such_endpoint", "there is no such endpoint or method") from error


def _open(request: Request) -> tuple[Gateway, NodeRecord]:
    return request.app.state.gateway, request.scope["state"]["node"]


def _answer(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(value, status, headers={**_NO_STORE, **(headers or {})})


def _list_orders(request: Request) -> Response:
    gateway, node = _open(request)
    orders = list_open_orders(gateway.home, node.node_id)
    return _answer(
        {
            "orders": [
                {
                    "assignment_id": order.assignment_id,
                    "envelope": read_envelope(gateway.home, order.assignment_id).decode(),
                    "files": [RECIPE_FILE, *sorted(list_files(gateway.home, order))],
                }
                for order in orders
            ]
        }
    )


def _read_file(request: Request, assignment_id: str, name: str) -> Response:
    gateway, node = _open(request)
    order = get_open_order(gateway.home, assignment_id, node.node_id)
    if name == RECIPE_FILE:
        return Response(render_recipe(gateway.home), media_type="application/json")
    path = list_files(gateway.home, order).get(name)
    if path is None:
        raise RefusalError(404, "no_such_file", "the order lists no such file")
    return FileResponse(path, media_type="application/octet-stream", headers=_NO_STORE)


def _verify_blob(gateway: Gateway, node: NodeRecord, assignment_id: str, sha256: str) -> None:
    if not _SHA256.fullmatch(sha256):
        raise RefusalError(404, "no_upload", "a blob is named by its SHA-256 in lower-case hex")
    gateway.verify_receiving(assignment_id, node.node_id)


def _declare(request: Request, assignment_id: str, sha256: str) -> Response:
    gateway, node = _open(request)
    _verify_blob(gateway, node, assignment_id, sha256)
    num_bytes = read_number(request, "upload-length")
    state = gateway.uploads.declare(assignment_id, sha256, num_bytes)
    return _answer(state.render(), headers=state.headers)


def _describe(request: Request, assignment_id: str, sha256: str) -> Response:
    gateway, node = _open(request)
    _verify_blob(gateway, node, assignment_id, sha256)
    state = gateway.uploads.find(assignment_id, sha256)
    if state is None:
        raise RefusalError(404, "no_upload", "declare the upload first")
    return _answer(state.render(), headers=state.headers)


def _discard(request: Request, assignment_id: str, sha256: str) -> Response:
    gateway, node = _open(request)
    _verify_blob(gateway, node, assignment_id, sha256)
    gateway.uploads.discard(assignment_id, sha256)
    return _answer({"discarded": sha256})


async def _append(request: Request, assignment_id: str, sha256: str) -> Response:
    gateway, node = _open(request)
    await run_in_threadpool(_verify_blob, gateway, node, assignment_id, sha256)
    num_bytes = read_number(request, "content-length")
    offset = read_number(request, "upload-offset")
    append = await run_in_threadpool(gateway.uploads.begin, assignment_id, sha256, offset)
    try:
        most = min(gateway.limits.max_request_bytes, append.state.num_bytes - offset)
        if num_bytes > most:
            raise RefusalError(413, "body_too_large", f"at most {most} bytes are taken here")
        async for block in iter_blocks(request, num_bytes, gateway.limits):
            await run_in_threadpool(append.write, block)
    except BaseException:
        await run_in_threadpool(append.close)  # what arrived is kept, also of a broken request
        raise
    state = await run_in_threadpool(append.close)
    return _answer(state.render(), headers=state.headers)


async def _complete(request: Request, assignment_id: str) -> Response:
    gateway, node = _open(request)
    data = await read_body(request, gateway.rules.max_manifest_bytes, gateway.limits)
    arrival = await run_in_threadpool(gateway.receive_manifest, assignment_id, node, data)
    return _answer(arrival.model_dump(mode="json", exclude={"audit_size"}))


def _read_receipt(request: Request, assignment_id: str) -> Response:
    gateway, node = _open(request)
    order = get_own_order(gateway.home, assignment_id, node.node_id)
    return _answer(gateway.receipts.build(order))
