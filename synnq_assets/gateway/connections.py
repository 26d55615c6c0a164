"""HTTP/1.1 connections that know whose certificate was verified. Imports uvicorn and h11.

uvicorn leaves the peer's certificate out of the ASGI scope; each connection adds it to the state
that its requests start from, which no header or path can reach. And a request's head has to come
in time, as has the rest of a body that was refused.
Source of the attack: R. Hansen 2009, "Slowloris HTTP DoS".
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from synnq_assets.gateway.certificates import read_node_id


@dataclass(frozen=True)
class Peer:
    """Who is at the other end, as the TLS handshake proved it."""

    node_id: str | None  # None: a certificate of ours, but no node's
    serial: int
    expires_at: float  # Unix seconds


def read_peer(transport: asyncio.BaseTransport) -> Peer | None:
    """Return the verified peer of a connection; None where there was no TLS."""
    ssl_object = transport.get_extra_info("ssl_object")
    found: Any = ssl_object.getpeercert() if ssl_object is not None else None
    if not found:
        return None
    expires_at = float(ssl.cert_time_to_seconds(found["notAfter"]))
    return Peer(read_node_id(found), int(found["serialNumber"], 16), expires_at)


class NodeProtocol(H11Protocol):
    """One connection of a node."""

    head_seconds = 10.0

    def __init__(self, *args: Any, **options: Any) -> None:
        """Wait for nothing yet."""
        super().__init__(*args, **options)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the peer, and begin to wait for the first head."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "peer": read_peer(transport)}
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the clock runs while a head, or what nobody reads, is arriving."""
        super().data_received(data)
        self._settle()

    def on_response_complete(self) -> None:
        """Go on; a body that was answered before its end has to end soon."""
        super().on_response_complete()
        self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clock."""
        self._rest()
        super().connection_lost(exc)

    def _settle(self) -> None:
        is_answered = self.conn.our_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)
        if self.conn.their_state is h11.IDLE or is_answered:
            self._watch()
        else:
            self._rest()

    def _watch(self) -> None:
        if self._deadline is None:  # not `close`, which over TLS waits for the peer's consent
            self._deadline = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def build_protocol(head_seconds: float) -> type[NodeProtocol]:
    """Return the protocol with a limit of its own; uvicorn makes the connections itself."""
    return type("BoundedProtocol", (NodeProtocol,), {"head_seconds": head_seconds})
