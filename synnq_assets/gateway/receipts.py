"""Proofs for nodes: that a submission arrived, and how it was judged.

A receipt is the log's entry with a proof that it is under a signed head; whoever has the log's keys
can verify both. Source: c2sp.org/tlog-proof@v1
"""

import threading
from typing import Any

from synnq_assets.gateway.inbox import Inbox
from synnq_assets.gateway.refusals import RefusalError
from synnq_assets.records.orders import Order
from synnq_assets.trust.campaign import assignment_key
from synnq_assets.trust.home import Home

JUDGED = "verified_submission"  # the act whose result carries a verdict


class Receipts:
    """Where the log speaks of an order; what was found is remembered."""

    def __init__(self, home: Home, inbox: Inbox) -> None:
        """Look into the home's log."""
        self._home = home
        self._inbox = inbox
        self._lock = threading.Lock()
        self._judged: dict[str, int] = {}
        self._looked: dict[str, int] = {}  # assignment -> entries looked at in vain

    def build(self, order: Order) -> dict[str, Any]:
        """Return the receipt of an order's verdict, or of its arrival.

        Raises:
            RefusalError: nothing arrived here.
        """
        arrival = self._inbox.find_arrival(order.assignment_id)
        if arrival is None or arrival.position is None:
            raise RefusalError(404, "no_receipt", "nothing arrived for this order")
        judged = self._find_judged(order.assignment_id, arrival.submission_sha256, arrival.position)
        position = arrival.position if judged is None else judged
        evidence = self._home.audit.evidence(position)
        receipt: dict[str, Any] = {
            "assignment_id": order.assignment_id,
            "submission_sha256": arrival.submission_sha256,
            "of": "arrival" if judged is None else "verdict",
            "entry": evidence.entry.decode(),
            "proof": evidence.receipt.decode(),
        }
        if judged is not None:
            envelope = self._home.store.get_bytes(assignment_key(order.assignment_id, "verdicts"))
            receipt["verdict"] = envelope.decode()
        return receipt

    def _find_judged(self, assignment_id: str, sha256: str, begin: int) -> int | None:
        if self._home.campaign.find_verdict(assignment_id) is None:
            return None
        with self._lock:
            if assignment_id not in self._judged:
                begin = self._looked.get(assignment_id, begin)
                for position, entry in self._home.audit.iter_entries(begin):
                    self._looked[assignment_id] = position
                    is_result = (entry.phase, entry.action) == ("result", JUDGED)
                    if is_result and entry.details.get("sha256") == sha256:
                        self._judged[assignment_id] = position
                        break
            return self._judged.get(assignment_id)
