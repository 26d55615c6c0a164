"""Refuse to start on the wrong weights; run the API under uvicorn."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synnq_assets.errors import ServingError
from synnq_assets.records.orders import digest_files
from synnq_assets.serving.keys import read_api_keys, verify_key_hashes
from synnq_assets.serving.limits import ServedRelease, ServingLimits
from synnq_assets.storage.files import describe_file

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

MODEL_FILE = "model.safetensors"
DEFAULT_LIMITS = ServingLimits()


def verify_weights(verified: ServedRelease) -> None:
    """Compare the weights on disk with the checkpoint that the verified release names.

    Raises:
        ServingError: missing, or other weights.
    """
    path = verified.folder / MODEL_FILE
    try:
        digest = digest_files((describe_file(path),))
    except OSError as error:
        raise ServingError(f"cannot read {path}: {error.strerror}") from error
    if digest != verified.checkpoint_sha256:
        raise ServingError(
            f"refusing to start: {path} is checkpoint {digest}, but the verified release is "
            f"checkpoint {verified.checkpoint_sha256}; verify the release again"
        )


def create_app(
    verified: ServedRelease, *, api_keys: Sequence[str], limits: ServingLimits = DEFAULT_LIMITS
) -> "FastAPI":
    """Return the application over a release that was verified just before.

    Args:
        verified: the folder, and what its signed record says.
        api_keys: SHA-256 (hex) of each accepted key.
        limits: bounds of one request, and torch's threads.

    Raises:
        ServingError: the weights are not the verified ones, or no key is given.
    """
    key_hashes = verify_key_hashes(api_keys)
    verify_weights(verified)
    from synnq_assets.serving.app import build_app

    return build_app(verified, key_hashes=key_hashes, limits=limits)


def serve(
    verified: ServedRelease,
    *,
    host: str,
    port: int,
    api_key_file: Path,
    limits: ServingLimits = DEFAULT_LIMITS,
) -> None:
    """Serve until interrupted. Put a TLS proxy in front of anything but loopback.

    Args:
        verified: the folder, and what its signed record says.
        host: address to bind.
        port: TCP port.
        api_key_file: one SHA-256 (hex) of a key per line.
        limits: bounds of one request, and torch's threads.

    Raises:
        ServingError: the weights are not the verified ones, or the key file is unusable.
    """
    app = create_app(verified, api_keys=read_api_keys(api_key_file), limits=limits)
    build_server(app, host=host, port=port, limits=limits).run()


def build_server(
    app: "FastAPI", *, host: str, port: int, limits: ServingLimits
) -> "uvicorn.Server":
    """Return the server: one HTTP parser on every machine, no WebSocket, no trust in proxies."""
    import uvicorn

    from synnq_assets.serving.connections import build_protocol

    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=build_protocol(limits.head_seconds),
        ws="none",
        proxy_headers=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=5,
        limit_concurrency=limits.max_connections,
    )
    return uvicorn.Server(config)
