"""A request's headers and body, read here and not by the framework.

Its size and time are bounded before anything is parsed, and a header that two readers could take
for different things is refused.
"""

import asyncio

from starlette.requests import ClientDisconnect, Request

from synnq_assets.serving.limits import ServingLimits
from synnq_assets.serving.protocol import RequestError

SINGLE_HEADERS = ("content-type", "content-encoding", "content-length", "transfer-encoding")


def verify_headers(request: Request) -> None:
    """Check that the headers say one thing, and that the body is plain JSON.

    Raises:
        RequestError: a header is doubled, the length is given in two ways, or the body is
            something else.
    """
    headers = request.headers
    for name in SINGLE_HEADERS:
        if len(headers.getlist(name)) > 1:
            raise RequestError(400, f"send {name} once", code="invalid_header")
    if "content-length" in headers and "transfer-encoding" in headers:
        raise RequestError(
            400, "send a content-length or a transfer-encoding, not both", code="invalid_header"
        )
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RequestError(415, "send the body as application/json", code="invalid_content_type")
    if headers.get("content-encoding", "identity") != "identity":
        raise RequestError(415, "send the body without compression", code="invalid_encoding")


async def read_body(request: Request, limits: ServingLimits) -> bytes:
    """Return a whole body.

    Raises:
        RequestError: the headers are refused, or the body is too large, too slow, or cut short.
    """
    verify_headers(request)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.max_body_bytes:
                    raise RequestError(
                        413,
                        f"the body has more than {limits.max_body_bytes} bytes",
                        code="body_too_large",
                    )
    except TimeoutError as error:
        raise RequestError(408, "the body took too long to arrive", code="timeout") from error
    except ClientDisconnect as error:
        raise RequestError(400, "the body ended early", code="disconnected") from error
    return bytes(body)
