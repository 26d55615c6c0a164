"""The desk at which the list of bad inputs is tried: a home, two nodes, an order for each.

Whatever is on the list is handed in by one node, as an outbox; the other's honest work follows.
"""

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import numpy as np

from synnq_assets.cli.demo.setup import create_demo_home
from synnq_assets.defs.resources import HomeResource
from synnq_assets.defs.shards import PROBE
from synnq_assets.defs.submissions import judge, store_submission, verified_submission
from synnq_assets.federation import Registry
from synnq_assets.records.base import canonical_json, now_at
from synnq_assets.records.orders import CheckpointRef, Order
from synnq_assets.records.submissions import Verdict
from synnq_assets.settings import resolve_settings
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust import Home, SigningKey
from synnq_assets.trust.encoding import decode_base64, encode_base64
from synnq_assets.trust.envelopes import PAYLOAD_TYPE, encode_for_signing, sign_record
from synnq_assets_tests.defs.by_hand import put_base, start

from .makers import World, build_submission, make_order

POISON, HONEST = "node-east", "node-north"
SITES = (POISON, HONEST, "node-south", "node-west")
ROUND = "r0001"
FORGED = "submission.json"


def open_desk(folder: Path, world: World, instance: dg.DagsterInstance) -> "Desk":
    """Create a home whose round r0001 is open, with a real base checkpoint and probe."""
    home = create_demo_home(folder / "home", resolve_settings("local", "smoke"))
    start(home)
    put_base(home, ROUND, nodes=(POISON, HONEST))
    base = make_order(world.base_model, world.recipe).base
    copy = home.store.reserve("base")
    copy.write_bytes(world.base_model.read_bytes())
    home.store.put_file(f"checkpoints/{base.checkpoint_sha256}/model.safetensors", copy)
    home.store.put_bytes(PROBE, world.probe.read_bytes())
    instance.add_dynamic_partitions("round", [ROUND])
    instance.add_dynamic_partitions("site", list(SITES))
    return Desk(home, world, instance, base)


@dataclass
class Desk:
    """One home, and how often something was handed in."""

    home: Home
    world: World
    instance: dg.DagsterInstance
    base: CheckpointRef
    num_cases: int = field(default=0)

    def key(self, node_id: str) -> SigningKey:
        """Return a node's own signing key."""
        return SigningKey.read(self.home.path / "nodes" / node_id / "keys" / "signing.pem")

    def issue(self, node_id: str, attempt: int, **changes) -> World:
        """Issue an order; return the world around its answer."""
        record = Registry(self.home.ledger).get(node_id)
        issued_at = now_at() - timedelta(hours=3)
        fields = {
            "federation": self.home.settings.recipe.federation,
            "round": ROUND,
            "assignment_id": f"{ROUND}.{node_id}.{attempt}",
            "node_id": node_id,
            "agreement_sha256": record.agreement_sha256,
            "base": CheckpointRef(**{**dict(self.base), "round": "r0000"}),
            "issued_at": issued_at,
            "deadline_at": issued_at + timedelta(hours=4),
        }
        order = make_order(self.world.base_model, self.world.recipe, **{**fields, **changes})
        self.home.campaign.put_order(order, self.home.coordinator)
        return replace(
            self.world,
            order=order,
            key=self.key(node_id),
            node=record,
            work=replace(self.world.work, update=vary(self.world.work.update, node_id, attempt)),
        )

    def case(self, tmp_path: Path, node_id: str = POISON, **changes) -> "BadInput":
        """Open the next case: an order for the poisonous node, and its outbox."""
        self.num_cases += 1
        world = self.issue(node_id, self.num_cases, **changes)
        return BadInput(self, world, tmp_path / "outbox")

    def verify_the_rest_goes_on(self, folder: Path) -> None:
        """Another node's honest work, handed in afterwards, is accepted and promoted."""
        world = self.issue(HONEST, self.num_cases)
        order = world.order
        world.submit(folder, **times(order))
        store_submission(self.home, folder, order)
        verdict = judge(self.home, order)
        assert verdict.decision == "accepted", verdict.reasons
        assert self.home.store.has(accepted(order))

    def keys_of(self, assignment_id: str) -> set[str]:
        """Return the kinds of things that the store holds of an assignment."""
        found = set()
        for place in ("quarantine", f"rounds/{ROUND}"):
            for key in self.home.store.iter_keys(place):
                if f"/{assignment_id}" in key:
                    found.add("quarantine" if place == "quarantine" else key.split("/")[2])
        return found

    def building(self) -> list[Path]:
        """Return files left under construction."""
        root = self.home.store.root / ".building"
        return [path for path in root.rglob("*") if path.is_file()]


def vary(update, node_id: str, number: int):
    """Return honest work that is nobody else's: node and number written into one tensor's bits."""
    name = min(update)
    changed = np.array(update[name], dtype=np.float32)
    for place, bit in enumerate(f"{SITES.index(node_id):02b}{number:010b}"):
        changed.flat[place] = 1e-3 if bit == "1" else 2e-3
    return {**update, name: changed}


def times(order: Order):
    """Return when honest work on an order began and ended."""
    started_at = order.issued_at + timedelta(minutes=5)
    return {"started_at": started_at, "finished_at": started_at + timedelta(minutes=30)}


def accepted(order: Order) -> str:
    """Return the key whose presence makes a submission count."""
    return f"rounds/{order.round}/submissions/{order.assignment_id}/submission.json"


def render_envelope(payload: bytes, *keys: SigningKey, **changes) -> bytes:
    """Return an envelope of any payload, well signed; then changed."""
    message = encode_for_signing(PAYLOAD_TYPE, payload)
    signatures = [{"keyid": k.key_id, "sig": encode_base64(k.sign(message))} for k in keys]
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": encode_base64(payload),
        "signatures": signatures,
    }
    return json.dumps({**envelope, **changes}, separators=(",", ":")).encode()


@dataclass
class BadInput:
    """One thing of the list, to be handed in by the poisonous node."""

    desk: Desk
    world: World
    outbox: Path

    @property
    def order(self) -> Order:
        """The order that it pretends to answer."""
        return self.world.order

    def submit(self, **changes) -> Path:
        """Write an honest answer but for what is given."""
        return self.world.submit(self.outbox, **{**times(self.order), **changes})

    def sign_again(self, **changes) -> None:
        """Sign whatever the outbox holds by now."""
        self.world.sign(self.outbox, **{**times(self.order), **changes})

    def statement(self, **changes) -> dict:
        """Return the in-toto statement of the honest manifest as plain JSON."""
        record = build_submission(
            self.outbox, self.order, self.world.work, **{**times(self.order), **changes}
        )
        envelope = json.loads(sign_record(record, self.world.key))
        return json.loads(decode_base64(envelope["payload"]))

    def forge(self, payload: bytes, *keys: SigningKey, **changes) -> None:
        """Put a manifest of any payload into the outbox, well signed by the node."""
        data = render_envelope(payload, *(keys or (self.world.key,)), **changes)
        write_atomically(self.outbox / FORGED, data)

    def forge_predicate(self, change) -> None:
        """Sign the honest manifest with its predicate changed as plain JSON, digest and all."""
        statement = self.statement()
        change(statement["predicate"])
        self.forge(canonical_json(statement))

    def judge(self) -> Verdict:
        """Hand it in on the real path: quarantine, then the asset that is the gate."""
        desk, order = self.desk, self.order
        store_submission(desk.home, self.outbox, order)
        result = dg.materialize(
            [verified_submission],
            partition_key=f"{ROUND}|{order.node_id}",
            instance=desk.instance,
            resources={"home": HomeResource(path=str(desk.home.path))},
            tags={"synnq/assignment": order.assignment_id},
        )
        assert result.success
        self.materialised = bool(result.asset_materializations_for_node("verified_submission"))
        verdict = desk.home.campaign.find_verdict(order.assignment_id)
        assert verdict is not None
        return verdict

    def refuse(self, check: str, says: str) -> Verdict:
        """Hand it in; it is refused by `check`, recorded, has no effect, and stops nobody."""
        verdict = self.judge()
        found = {result.name: result for result in verdict.checks}
        assert verdict.decision == "refused"
        assert not found[check].passed
        assert says in found[check].reason, found[check].reason
        self.verify_recorded(verdict, check)
        self.verify_without_effect()
        self.desk.verify_the_rest_goes_on(self.outbox.with_name("honest"))
        return verdict

    def verify_recorded(self, verdict: Verdict, check: str) -> None:
        """The audit log has the intent to judge and the refusal, with the check's name."""
        entries = dict(self.desk.home.audit.iter_entries(verdict.audit_index))
        assert entries[verdict.audit_index].phase == "intent"
        (result,) = (e for e in entries.values() if e.intent == verdict.audit_index)
        assert (result.phase, result.action) == ("result", "verified_submission")
        assert result.details["decision"] == "refused"
        assert check in result.details["failed"]

    def verify_without_effect(self) -> None:
        """It stays in quarantine with its verdict: not promoted, materialised or half there."""
        assert not self.materialised
        assert self.desk.keys_of(self.order.assignment_id) == {"quarantine", "orders", "verdicts"}
        assert not self.desk.home.store.has(accepted(self.order))
        assert self.desk.building() == []
