"""HTTP/1.1 connections whose clients have to finish a request's head in time. Imports uvicorn.

uvicorn limits idle connections, but waits without end for a head that trickles, so a few slow
clients could hold every connection. h11 parses: it refuses line breaks in headers, folded lines,
and lengths that contradict each other.
Source of the attack: R. Hansen 2009, "Slowloris HTTP DoS".
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class PromptProtocol(H11Protocol):
    """Close a connection on which a head took longer than `head_seconds`."""

    head_seconds = 10.0

    def __init__(self, *args: Any, **options: Any) -> None:
        """Wait for nothing yet."""
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes; from the first byte of a head to its end, the clock runs."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._watch()
        else:
            self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clock."""
        self._rest()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def build_protocol(head_seconds: float) -> type[PromptProtocol]:
    """Return the protocol with a limit of its own; uvicorn makes the connections itself."""
    return type("BoundedProtocol", (PromptProtocol,), {"head_seconds": head_seconds})
