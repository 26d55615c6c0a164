"""Sizes, rates and times; requests counted per node."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class GatewayLimits:
    """Bounds of one request, one node, and the process."""

    max_head_bytes: int = 16 << 10
    head_seconds: float = 10.0  # to receive a request's line and headers
    max_request_bytes: int = 256 << 20  # of one append; an upload takes as many as it needs
    grace_seconds: float = 20.0  # of waiting for a body, before its rate counts
    min_bytes_per_second: int = 16 << 10
    max_open_uploads: int = 8  # per node
    max_requests_per_minute: int = 600  # per node
    max_requests_at_once: int = 8  # per node
    max_connections: int = 256
    reserve_bytes: int = 1 << 20  # of the disk, left to others
    report_seconds: float = 60.0  # refusals are logged as counts, so often


@dataclass(frozen=True)
class SubmissionRules:
    """What a submission consists of: names, and the largest length of each file in bytes."""

    manifest_name: str
    max_manifest_bytes: int
    max_blob_bytes: Mapping[str, int]  # by name, the manifest not among them

    @property
    def max_total_bytes(self) -> int:
        """The largest sum of all blobs of one submission."""
        return sum(self.max_blob_bytes.values())


class RequestMeter:
    """A token bucket per node: a minute's worth at once, then the mean rate."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Count from full buckets."""
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}  # node -> (tokens, when)

    def take(self, node_id: str) -> float:
        """Count a request; return 0.0 if it may go on, else the seconds until one may."""
        now = self._clock()
        rate = self._per_minute / 60.0
        with self._lock:
            tokens, then = self._buckets.get(node_id, (float(self._per_minute), now))
            tokens = min(float(self._per_minute), tokens + (now - then) * rate)
            is_granted = tokens >= 1.0
            self._buckets[node_id] = (tokens - 1.0 if is_granted else tokens, now)
        return 0.0 if is_granted else (1.0 - tokens) / rate
