"""What is served, and how much one request may ask for."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServedRelease:
    """A release folder that was verified, and what its signed record says it is."""

    folder: Path
    model_name: str
    round: str
    checkpoint_sha256: str

    @property
    def fingerprint(self) -> str:
        """The short name of this checkpoint in answers."""
        return f"synnq-{self.checkpoint_sha256[:16]}"


@dataclass(frozen=True)
class ServingLimits:
    """Bounds of one request, and of the process."""

    max_body_bytes: int = 1 << 20
    head_seconds: float = 10.0  # to receive a request's line and headers
    body_seconds: float = 10.0  # to receive its body
    max_prompts: int = 8
    max_tokens: int = 1024  # per completion
    max_stops: int = 4
    max_stop_characters: int = 256  # per stop string
    max_connections: int = 64
    threads: int = 1  # of torch
