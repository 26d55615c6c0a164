"""The campaign's signed records, by round and by assignment.

Everything that a sensor decides is derived from here, so that a decision can be taken again after
any crash and comes out the same. Methods with `skip` leave out records that do not verify, and tell
it which: one damaged record does not hold up the others.
"""

from collections.abc import Iterator

from synnq_assets.errors import FederationError
from synnq_assets.records.federation import Allocation, Reassignment, RoundBase
from synnq_assets.records.identifiers import build_round_key, parse_assignment_id, parse_round_key
from synnq_assets.records.jobs import JobHandle
from synnq_assets.records.orders import Order
from synnq_assets.records.releases import ReleaseRecord
from synnq_assets.records.rounds import CheckpointRecord, EvaluationRecord
from synnq_assets.records.shards import ShardDestruction, ShardManifest
from synnq_assets.records.submissions import Verdict
from synnq_assets.trust.keys import SigningKey
from synnq_assets.trust.ledger import Ledger, Skip, skipping

INITIAL_ROUND = build_round_key(0)


def assignment_key(assignment_id: str, folder: str) -> str:
    """Return the object key of a record about one assignment."""
    round_key, _, _ = parse_assignment_id(assignment_id)
    return f"rounds/{round_key}/{folder}/{assignment_id}.json"


def sealed_folder(assignment_id: str) -> str:
    """Return where the shards lie that were sealed for one assignment."""
    return f"rounds/{parse_assignment_id(assignment_id)[0]}/sealed/{assignment_id}"


def sealed_key(assignment_id: str, shard_id: str) -> str:
    """Return the object key of a shard as it was sealed for one assignment."""
    return f"{sealed_folder(assignment_id)}/{shard_id}.sealed"


class Campaign:
    """Typed access to the ledger. `put_*` writes once; `find_*` returns None where nothing is."""

    def __init__(self, ledger: Ledger) -> None:
        """Read and write through `ledger`."""
        self.ledger = ledger

    # --- rounds

    def list_rounds(self) -> list[str]:
        """Return the keys of all rounds that were opened, ascending; r0000 is not one of them."""
        keys = (key.split("/") for key in self.ledger.store.iter_keys("rounds"))
        return sorted({parts[1] for parts in keys if parts[2] == "base.json"})

    def find_base(self, round_key: str) -> RoundBase | None:
        """Return what a round started from."""
        return self.ledger.find(f"rounds/{round_key}/base.json", RoundBase)

    def put_base(self, base: RoundBase, signer: SigningKey) -> None:
        """Open a round."""
        self.ledger.put(f"rounds/{base.round}/base.json", base, signer)

    def find_allocation(self, round_key: str) -> Allocation | None:
        """Return who was to train what."""
        return self.ledger.find(f"rounds/{round_key}/allocation.json", Allocation)

    def put_allocation(self, allocation: Allocation, signer: SigningKey) -> None:
        """Write an allocation down, before its orders: they follow from it."""
        self.ledger.put(f"rounds/{allocation.round}/allocation.json", allocation, signer)

    def find_checkpoint(self, round_key: str) -> CheckpointRecord | None:
        """Return the global checkpoint that a round produced."""
        return self.ledger.find(f"rounds/{round_key}/checkpoint.json", CheckpointRecord)

    def put_checkpoint(self, record: CheckpointRecord, signer: SigningKey) -> None:
        """Write a global checkpoint down."""
        self.ledger.put(f"rounds/{record.round}/checkpoint.json", record, signer)

    def find_evaluation(self, round_key: str) -> EvaluationRecord | None:
        """Return how a round's checkpoint was judged."""
        return self.ledger.find(f"rounds/{round_key}/evaluation.json", EvaluationRecord)

    def put_evaluation(self, record: EvaluationRecord, signer: SigningKey) -> None:
        """Write an evaluation down."""
        self.ledger.put(f"rounds/{record.round}/evaluation.json", record, signer)

    def find_release(self, round_key: str) -> ReleaseRecord | None:
        """Return the release that was made from a round."""
        return self.ledger.find(
            f"rounds/{round_key}/release.json", ReleaseRecord, roles=("release",)
        )

    def list_checkpoints(self) -> list[CheckpointRecord]:
        """Return all global checkpoints, by round, rolled back ones included."""
        rounds = [INITIAL_ROUND, *self.list_rounds()]
        found = (self.find_checkpoint(round_key) for round_key in rounds)
        return [record for record in found if record is not None]

    def find_promoted(self) -> CheckpointRecord | None:
        """Return the newest promoted checkpoint: the global model as it stands."""
        for record in reversed(self.list_checkpoints()):
            evaluation = self.find_evaluation(record.round)
            if evaluation is not None and evaluation.decision == "promoted":
                return record
        return None

    def get_chain(self, round_key: str) -> list[CheckpointRecord]:
        """Return the checkpoints from the initial one to a round's, parent by parent.

        Raises:
            FederationError: a parent is missing or its digest differs: the chain is broken.
        """
        chain: list[CheckpointRecord] = []
        wanted: str | None = round_key
        while wanted is not None:
            record = self.find_checkpoint(wanted)
            if record is None:
                raise FederationError(f"the chain of checkpoints is broken: {wanted} is missing")
            if chain and chain[-1].parent_checkpoint_sha256 != record.checkpoint.checkpoint_sha256:
                raise FederationError(
                    f"the chain of checkpoints is broken: {chain[-1].round} does not descend "
                    f"from {wanted} as it stands"
                )
            chain.append(record)
            if wanted == record.parent_round:
                raise FederationError(f"{wanted} names itself as its parent")
            wanted = record.parent_round
        return chain[::-1]

    # --- assignments

    def list_promises(
        self, round_key: str, *, skip: Skip | None = None
    ) -> dict[str, tuple[str, ...]]:
        """Return assignment id -> shards, as allocation and reassignments say; each gets an order.

        These records are written before their orders, so a crash between the two leaves a promise
        that is kept later, and never a shard with two nodes.
        """
        allocation = self.find_allocation(round_key)
        promises = allocation.assignments if allocation else {}
        for loss in self.list_losses(round_key, skip=skip):
            promises.update(loss.replacements)
        return promises

    def list_orders(self, round_key: str, *, skip: Skip | None = None) -> list[Order]:
        """Return a round's orders, by assignment id."""
        return self.ledger.list_all(f"rounds/{round_key}/orders", Order, skip=skip)

    def has_order(self, assignment_id: str) -> bool:
        """Return whether an order was issued."""
        return self.ledger.store.has(assignment_key(assignment_id, "orders"))

    def get_order(self, assignment_id: str) -> Order:
        """Return one order."""
        return self.ledger.get(assignment_key(assignment_id, "orders"), Order)

    def put_order(self, order: Order, signer: SigningKey) -> None:
        """Issue an order."""
        self.ledger.put(assignment_key(order.assignment_id, "orders"), order, signer)

    def next_attempt(self, round_key: str, node_id: str) -> int:
        """Return the number of a node's next order in a round."""
        issued = (order.assignment_id for order in self.list_orders(round_key))
        taken = map(parse_assignment_id, {*issued, *self.list_promises(round_key)})
        return 1 + max((attempt for _, node, attempt in taken if node == node_id), default=0)

    def find_handle(self, assignment_id: str) -> JobHandle | None:
        """Return how to find an order's job, if it was submitted."""
        return self.ledger.find(assignment_key(assignment_id, "jobs"), JobHandle)

    def put_handle(self, handle: JobHandle, signer: SigningKey) -> None:
        """Write down that a job was submitted."""
        self.ledger.put(assignment_key(handle.assignment_id, "jobs"), handle, signer)

    def find_loss(self, assignment_id: str) -> Reassignment | None:
        """Return what became of a lost assignment's shards, if it was lost."""
        return self.ledger.find(assignment_key(assignment_id, "lost"), Reassignment)

    def put_loss(self, loss: Reassignment, signer: SigningKey) -> None:
        """Write down that an assignment was lost, before the orders that replace it."""
        self.ledger.put(assignment_key(loss.lost, "lost"), loss, signer)

    def list_losses(self, round_key: str, *, skip: Skip | None = None) -> list[Reassignment]:
        """Return what became of a round's lost assignments."""
        return self.ledger.list_all(f"rounds/{round_key}/lost", Reassignment, skip=skip)

    def find_verdict(self, assignment_id: str) -> Verdict | None:
        """Return the verdict on an order's submission."""
        return self.ledger.find(assignment_key(assignment_id, "verdicts"), Verdict)

    def put_verdict(self, verdict: Verdict, signer: SigningKey) -> None:
        """Write a verdict down."""
        self.ledger.put(assignment_key(verdict.assignment_id, "verdicts"), verdict, signer)

    def list_verdicts(self, round_key: str, *, skip: Skip | None = None) -> list[Verdict]:
        """Return the verdicts on a round's orders."""
        return self.ledger.list_all(f"rounds/{round_key}/verdicts", Verdict, skip=skip)

    def is_open(self, assignment_id: str) -> bool:
        """Return whether an order may still bring a submission."""
        return not self.find_verdict(assignment_id) and not self.find_loss(assignment_id)

    def iter_open_orders(self, round_key: str, *, skip: Skip | None = None) -> Iterator[Order]:
        """Yield the orders of a round that may still bring a submission."""
        for order in self.list_orders(round_key, skip=skip):
            is_open = False
            with skipping(skip, order.assignment_id):
                is_open = self.is_open(order.assignment_id)
            if is_open:
                yield order

    def list_consumed(self) -> frozenset[str]:
        """Return the assignments whose submissions went into some checkpoint."""
        return frozenset(
            item.assignment_id
            for record in self.list_checkpoints()
            for item in record.contributions
        )

    def select_candidates(
        self, round_key: str, *, max_staleness_rounds: int, skip: Skip | None = None
    ) -> list[Verdict]:
        """Return accepted verdicts that no checkpoint has used, this round's and late ones."""
        number = parse_round_key(round_key)
        consumed = self.list_consumed()
        return [
            verdict
            for key in self.list_rounds()
            if 0 <= number - parse_round_key(key) <= max_staleness_rounds
            for verdict in self.list_verdicts(key, skip=skip)
            if verdict.decision == "accepted" and verdict.assignment_id not in consumed
        ]

    # --- shards

    def get_manifest(self, shard_id: str) -> ShardManifest:
        """Return the manifest of one shard."""
        key = f"shards/{shard_id}/manifest.json"
        return self.ledger.get(key, ShardManifest, roles=("steward",))

    def list_manifests(self) -> list[ShardManifest]:
        """Return the manifests of all shards."""
        keys = (
            key for key in self.ledger.store.iter_keys("shards") if key.endswith("/manifest.json")
        )
        return [self.ledger.get(key, ShardManifest, roles=("steward",)) for key in keys]

    def is_destroyed(self, shard_id: str) -> bool:
        """Return whether a shard's data key was destroyed: nothing opens it any more."""
        return self.ledger.store.has(f"shards/{shard_id}/destruction.json")

    def put_destruction(self, record: ShardDestruction, signer: SigningKey) -> None:
        """Write down that a shard's data key was destroyed."""
        self.ledger.put(f"shards/{record.shard_id}/destruction.json", record, signer)

    def list_exposure(self) -> dict[str, frozenset[str]]:
        """Return node -> shards that were sent or promised to it, over all rounds."""
        had: dict[str, set[str]] = {}
        for round_key in self.list_rounds():
            for order in self.list_orders(round_key):
                had.setdefault(order.node_id, set()).update(s.shard_id for s in order.shards)
            for assignment_id, shard_ids in self.list_promises(round_key).items():
                had.setdefault(parse_assignment_id(assignment_id)[1], set()).update(shard_ids)
        return {node: frozenset(shards) for node, shards in had.items()}

    def count_trainings(self) -> dict[str, int]:
        """Return shard -> how many accepted submissions trained on it."""
        counts: dict[str, int] = {}
        for round_key in self.list_rounds():
            for verdict in self.list_verdicts(round_key):
                if verdict.decision == "accepted":
                    for shard in self.get_order(verdict.assignment_id).shards:
                        counts[shard.shard_id] = counts.get(shard.shard_id, 0) + 1
        return counts
