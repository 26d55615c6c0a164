"""Typed refusals, and what of them the audit log gets: counts by node and reason, each minute.

A message is fixed text with ids that were validated; nothing that a client sent comes back.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from synnq_assets.errors import GatewayError
from synnq_assets.trust.audit import AuditLog

Reason = Literal[
    "already_received",
    "blobs_missing",
    "body_too_large",
    "certificate_expired",
    "certificate_withdrawn",
    "digest_mismatch",
    "disk_full",
    "foreign_assignment",
    "internal",
    "invalid_encoding",
    "invalid_header",
    "length_required",
    "manifest_refused",
    "no_node_certificate",
    "no_receipt",
    "no_such_endpoint",
    "no_such_file",
    "no_such_order",
    "no_upload",
    "not_active",
    "not_enrolled",
    "order_closed",
    "other_length",
    "too_large",
    "too_many_at_once",
    "too_many_requests",
    "too_many_uploads",
    "too_slow",
    "upload_busy",
    "wrong_offset",
]
UNCOUNTED: frozenset[Reason] = frozenset({"no_upload", "no_receipt"})  # answers, not offences


class RefusalError(GatewayError):
    """A request that is answered with a status, a reason, and nothing done."""

    def __init__(
        self,
        status: int,
        reason: Reason,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Say no.

        Args:
            status: of HTTP.
            reason: for programs.
            message: for people; no text of the client's.
            headers: more headers of the answer.
            details: more members of the answer.
        """
        super().__init__(message)
        self.status = status
        self.reason: Reason = reason
        self.headers = dict(headers or {})
        self.details = dict(details or {})

    def render(self) -> dict[str, Any]:
        """Return the answer's body."""
        return {"error": {"reason": self.reason, "message": str(self), **self.details}}


class RefusalCounter:
    """Refusals since they were last logged; bounded by enrolled nodes times reasons."""

    def __init__(self) -> None:
        """Start from none."""
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, Reason]] = Counter()

    def count(self, node_id: str, reason: Reason) -> None:
        """Note one refusal."""
        if reason not in UNCOUNTED:
            with self._lock:
                self._counts[(node_id, reason)] += 1

    def flush(self, audit: AuditLog) -> None:
        """Log one entry per node and reason.

        Raises:
            AuditError: the log could not be written; the counts are kept.
        """
        with self._lock:
            for (node_id, reason), count in sorted(self._counts.items()):
                audit.log_event(
                    "gateway_refusals", node_id, actor="gateway", reason=reason, count=count
                )
                del self._counts[(node_id, reason)]
