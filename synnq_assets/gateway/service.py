"""What the endpoints share: who may ask, and for what."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from pathlib import Path

from synnq_assets.errors import SynnqError
from synnq_assets.gateway.certificates import issued_path, keys_path
from synnq_assets.gateway.inbox import Arrival, Inbox, inbox_path
from synnq_assets.gateway.limits import GatewayLimits, RequestMeter, SubmissionRules
from synnq_assets.gateway.manifests import open_manifest
from synnq_assets.gateway.orders import get_open_order, get_own_order
from synnq_assets.gateway.receipts import Receipts
from synnq_assets.gateway.refusals import RefusalCounter, RefusalError
from synnq_assets.gateway.uploads import Uploads
from synnq_assets.records.federation import NodeRecord
from synnq_assets.trust.home import Home

FindNode = Callable[[str], NodeRecord | None]


@dataclass
class Gateway:
    """One home's gateway."""

    home: Home
    find_node: FindNode  # the registry as it stands at this moment
    rules: SubmissionRules
    limits: GatewayLimits = field(default_factory=GatewayLimits)
    refusals: RefusalCounter = field(default_factory=RefusalCounter)
    _under_way: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def keys(self) -> Path:
        """The authority's folder."""
        return keys_path(self.home.path)

    @cached_property
    def meter(self) -> RequestMeter:
        """Requests per node."""
        return RequestMeter(self.limits.max_requests_per_minute)

    @cached_property
    def uploads(self) -> Uploads:
        """Blobs on their way."""
        return Uploads(inbox_path(self.home.path) / ".uploads", self.rules, self.limits)

    @cached_property
    def inbox(self) -> Inbox:
        """What arrived."""
        return Inbox(
            home_path=self.home.path,
            uploads=self.uploads,
            rules=self.rules,
            audit=self.home.audit,
            lock=lambda: self.home.lock("inbox"),
        )

    @cached_property
    def receipts(self) -> Receipts:
        """Proofs."""
        return Receipts(self.home, self.inbox)

    def admit(self, node_id: str, *, serial: int, expires_at: float) -> NodeRecord:
        """Return the record of a node that may ask, as the registry stands now.

        Raises:
            RefusalError: its certificate counts no more, it is no active node, or asks too often.
        """
        if expires_at <= time.time():
            raise RefusalError(403, "certificate_expired", "ask for a certificate anew")
        if not issued_path(self.keys, node_id, serial).exists():
            raise RefusalError(403, "certificate_withdrawn", "this certificate was withdrawn")
        try:
            node = self.find_node(node_id)
        except SynnqError:  # who has a damaged record is not trusted
            node = None
        if node is None:
            raise RefusalError(403, "not_enrolled", "this node is not enrolled")
        if node.status != "active":
            raise RefusalError(403, "not_active", "this node is suspended or revoked")
        wait_seconds = self.meter.take(node_id)
        if wait_seconds:
            headers = {"Retry-After": str(ceil(wait_seconds))}
            raise RefusalError(
                429, "too_many_requests", "wait before you ask again", headers=headers
            )
        return node

    @contextmanager
    def counting(self, node_id: str) -> Iterator[None]:
        """Count a request of a node as under way.

        Raises:
            RefusalError: too many are.
        """
        with self._lock:
            if self._under_way[node_id] >= self.limits.max_requests_at_once:
                headers = {"Retry-After": "1"}
                raise RefusalError(429, "too_many_at_once", "wait for your others", headers=headers)
            self._under_way[node_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way[node_id] -= 1

    def verify_receiving(self, assignment_id: str, node_id: str) -> None:
        """Check that blobs may come for an order.

        Raises:
            RefusalError: not this node's, closed, or a submission arrived already.
        """
        get_open_order(self.home, assignment_id, node_id)
        if self.inbox.find_arrival(assignment_id) is not None:
            raise RefusalError(409, "already_received", "a submission arrived for this order")

    def receive_manifest(self, assignment_id: str, node: NodeRecord, data: bytes) -> Arrival:
        """Complete a submission; the same manifest again gets the same answer, also later.

        Raises:
            RefusalError: another's order, closed, not a manifest for it, or blobs are missing.
        """
        get_own_order(self.home, assignment_id, node.node_id)
        if held := self.inbox.repeat(assignment_id, data):
            return held
        order = get_open_order(self.home, assignment_id, node.node_id)
        return self.inbox.assemble(open_manifest(data, node, order, self.rules), data)

    def is_open(self, assignment_id: str) -> bool:
        """Return whether an order waits for a submission; a damaged record is left alone."""
        try:
            campaign = self.home.campaign
            return campaign.has_order(assignment_id) and campaign.is_open(assignment_id)
        except SynnqError:
            return True
