"""Signed records on the object store: written once, verified by every process that reads them.

The ledger is the campaign's memory. Sensors decide from it, not from the orchestrator's event
log, so that a lost or edited event log changes nothing that matters.

    registry/grants/<identity>.json            key grants
    registry/applications/<node>.json          as received
    registry/nodes/<node>/<version>.json       node records
    registry/profiles/<node>/<digest>.json     newer profiles, as received
    corpora/<source>/<generation>/report.json  curation reports
    shards/<shard_id>/manifest.json            shard manifests, signed by the steward
    shards/<shard_id>/destruction.json         by the steward: its data key was destroyed
    quarantine/<round>/<assignment>/…          submissions as received
    rounds/<round>/base.json                   round bases
    rounds/<round>/allocation.json             allocations
    rounds/<round>/orders/<assignment>.json    orders
    rounds/<round>/sealed/<assignment>/…       its shards, until it is settled; see shards/assign.py
    rounds/<round>/jobs/<assignment>.json      job handles
    rounds/<round>/lost/<assignment>.json      reassignments
    rounds/<round>/verdicts/<assignment>.json  verdicts
    rounds/<round>/submissions/<assignment>/…  accepted submissions
    rounds/<round>/checkpoint.json             checkpoint records
    rounds/<round>/evaluation.json             evaluation records
    rounds/<round>/release.json                release records, signed by the release key
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from synnq_assets.errors import ObjectConflictError, SynnqError
from synnq_assets.records.base import Record
from synnq_assets.records.federation import Role
from synnq_assets.storage.objects import ObjectStore
from synnq_assets.trust.envelopes import open_envelope, sign_record
from synnq_assets.trust.keyring import Keyring
from synnq_assets.trust.keys import SigningKey

R = TypeVar("R", bound=Record)
COORDINATOR: tuple[Role, ...] = ("coordinator",)
Skip = Callable[[str, SynnqError], None]  # told which item is left out, and why


def leave_out(_item: str, _error: SynnqError) -> None:
    """Take no note: the `skip` of those who look for what is sound, where others report."""


@contextmanager
def skipping(skip: Skip | None, item: str) -> Iterator[None]:
    """Report an error about one of several items to `skip`, and go on; without it, raise."""
    try:
        yield
    except SynnqError as error:
        if skip is None:
            raise
        skip(item, error)


class Ledger:
    """Signed records by key. A key is write-once, so a verified record is kept for the process."""

    def __init__(self, store: ObjectStore, keyring: Keyring) -> None:
        """Read through `keyring`; write to `store`."""
        self.store = store
        self.keyring = keyring
        self._verified: dict[tuple[str, type[Record], tuple[Role, ...]], Record] = {}

    def put(self, key: str, record: Record, signer: SigningKey) -> None:
        """Sign a record and store it under a new key; the same record again is accepted.

        Raises:
            ObjectConflictError: another record stands there.
        """
        if self.store.has(key):
            held = open_envelope(
                self.store.get_bytes(key),
                type(record),
                self.keyring,
                roles=("coordinator", "steward", "release"),
            )
            if held.digest() != record.digest():
                raise ObjectConflictError(f"{key} already holds another {record.kind}")
            return
        self.store.put_bytes(key, sign_record(record, signer))

    def get(self, key: str, record_type: type[R], *, roles: tuple[Role, ...] = COORDINATOR) -> R:
        """Return the verified record under a key.

        Raises:
            ObjectNotFoundError: nothing stands there.
            SignatureError: not signed by a key that may sign it.
        """
        held = self._verified.get((key, record_type, roles))
        if not isinstance(held, record_type):
            data = self.store.get_bytes(key)
            held = open_envelope(data, record_type, self.keyring, roles=roles)
            self._verified[(key, record_type, roles)] = held
        return held

    def find(
        self, key: str, record_type: type[R], *, roles: tuple[Role, ...] = COORDINATOR
    ) -> R | None:
        """Return the verified record under a key, or None where nothing stands."""
        return self.get(key, record_type, roles=roles) if self.store.has(key) else None

    def list_all(self, prefix: str, record_type: type[R], *, skip: Skip | None = None) -> list[R]:
        """Return the coordinator's records under a prefix, in key order.

        A record that does not verify is an error, or is left out where `skip` takes note of it.
        """
        records = []
        for key in self.store.iter_keys(prefix):
            with skipping(skip, key):
                records.append(self.get(key, record_type))
        return records
