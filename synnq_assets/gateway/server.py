"""Run under uvicorn: one HTTP parser and one event loop on every machine, TLS 1.3 only."""

from typing import TYPE_CHECKING

from synnq_assets.gateway.channels import build_server_context
from synnq_assets.gateway.service import Gateway

if TYPE_CHECKING:
    import uvicorn


def build_server(gateway: Gateway, *, host: str, port: int) -> "uvicorn.Server":
    """Return the server; `run` serves until interrupted.

    Args:
        gateway: what it serves.
        host: address to bind.
        port: TCP port; 0 for any.

    Raises:
        GatewayError: the authority's or the server's keys are missing.
    """
    import uvicorn

    from synnq_assets.gateway.app import build_app
    from synnq_assets.gateway.connections import build_protocol

    limits = gateway.limits
    context = build_server_context(gateway.keys)
    config = uvicorn.Config(
        build_app(gateway),
        host=host,
        port=port,
        loop="asyncio",
        http=build_protocol(limits.head_seconds),
        ws="none",
        ssl_context_factory=lambda config, default: context,
        proxy_headers=False,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=10,
        limit_concurrency=limits.max_connections,
        h11_max_incomplete_event_size=limits.max_head_bytes,
    )
    return uvicorn.Server(config)
