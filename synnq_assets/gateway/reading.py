"""Headers and bodies, bounded before anything is done with them."""

import asyncio
import re
import time
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from synnq_assets.gateway.limits import GatewayLimits
from synnq_assets.gateway.refusals import RefusalError

BLOCK_BYTES = 1 << 20
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}", re.ASCII)
_SINGLE_RANGE = re.compile(r"bytes=(?:[0-9]{1,15}-[0-9]{0,15}|-[0-9]{1,15})", re.ASCII)


def verify_headers(request: Request, max_head_bytes: int) -> None:
    """Check that no header can be read in two ways, and that a body is what it seems.

    Raises:
        RefusalError: too large a head, a doubled header, one with an underscore (which other
            servers read as a hyphen), a compressed body, or one without a length.
    """
    headers = request.headers
    num_bytes = len(request.scope["raw_path"]) + len(request.scope["query_string"])
    if num_bytes + sum(len(name) + len(value) for name, value in headers.raw) > max_head_bytes:
        raise RefusalError(431, "invalid_header", f"a head has at most {max_head_bytes} bytes")
    if any("_" in name for name in headers):
        raise RefusalError(400, "invalid_header", "a header's name holds an underscore")
    if len(set(headers.keys())) != len(headers.raw):
        raise RefusalError(400, "invalid_header", "send each header once")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise RefusalError(415, "invalid_encoding", "send the body without compression")
    if "transfer-encoding" in headers:
        raise RefusalError(411, "length_required", "send the body with its content-length")
    if not _SINGLE_RANGE.fullmatch(headers.get("range", "bytes=0-")):
        raise RefusalError(400, "invalid_header", "ask for one range of bytes")


def read_number(request: Request, name: str) -> int:
    """Return a header that has to be a plain number.

    Raises:
        RefusalError: missing, or anything but decimal digits.
    """
    text = request.headers.get(name, "")
    if not _NUMBER.fullmatch(text):
        message = f"send {name} as a number of bytes"
        if name == "content-length":
            raise RefusalError(411, "length_required", message)
        raise RefusalError(400, "invalid_header", message)
    return int(text)


async def iter_blocks(
    request: Request, num_bytes: int, limits: GatewayLimits
) -> AsyncIterator[bytes]:
    """Yield a body of `num_bytes` in blocks; what arrived before an error is yielded first.

    Raises:
        RefusalError: it arrives too slowly.
        ClientDisconnect: it ended early.
    """
    block, received, waited = bytearray(), 0, 0.0
    chunks = request.stream().__aiter__()
    problem: Exception | None = None
    while received < num_bytes and problem is None:
        patience = limits.grace_seconds + received / limits.min_bytes_per_second - waited
        began = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                chunk = await anext(chunks)
        except TimeoutError:
            problem = RefusalError(
                408, "too_slow", "the body arrives too slowly; go on from the offset"
            )
            break
        except (ClientDisconnect, StopAsyncIteration):
            problem = ClientDisconnect()
            break
        waited += time.monotonic() - began
        received += len(chunk)
        block += chunk
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)
    if problem is not None:
        raise problem


async def read_body(request: Request, max_bytes: int, limits: GatewayLimits) -> bytes:
    """Return a whole small body.

    Raises:
        RefusalError: too large, or too slow.
        ClientDisconnect: it ended early.
    """
    num_bytes = read_number(request, "content-length")
    if num_bytes > max_bytes:
        raise RefusalError(413, "body_too_large", f"the body has more than {max_bytes} bytes")
    return b"".join([block async for block in iter_blocks(request, num_bytes, limits)])
