"""Intake: two nodes hand in, the second a copy of the first one's update; then the first once more,
with other work. Received, judged, promoted, remembered, each act in the audit log."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from synnq_assets.cli.home import grant_own_keys, open_home
from synnq_assets.defs.submissions import judge, store_submission
from synnq_assets.errors import ObjectConflictError
from synnq_assets.federation import Registry
from synnq_assets.federation.enrolment import NodeApplication
from synnq_assets.records.base import now_at
from synnq_assets.records.orders import CheckpointRef, Order, digest_files
from synnq_assets.settings import Settings, load_profile, load_recipe
from synnq_assets.settings.load import change_recipe
from synnq_assets.storage.files import describe_file, write_atomically
from synnq_assets.storage.tensors import TensorFile
from synnq_assets.submissions.arrival import EXPECTED_FILES, accepted_key, quarantine_key
from synnq_assets.trust import Home, SigningKey, sign_record
from synnq_assets.trust.keys import SealingKey
from synnq_assets_tests.builders import build_agreement, build_profile
from synnq_assets_tests.defs.by_hand import put_base, start
from synnq_assets_tests.faults.children import Tell, Told
from synnq_assets_tests.faults.scenario import Problem, Scenario
from synnq_assets_tests.submissions.makers import Work, build_submission, make_order, write_work

NODES = ("node-east", "node-north")
ROUND = "r0001"
NUM_STEPS = 12


def build_work(weights: Path, seed: int) -> Work:
    """Return work that passes: a small random update, and a loss that falls."""
    rng = np.random.default_rng(seed)
    with TensorFile(weights) as file:
        update = {
            name: rng.normal(0, 1e-4, shape).astype(np.float32)
            for name, (_, shape) in file.schema.items()
        }
    log = {
        "step": list(range(NUM_STEPS)),
        "epoch": [1] * 4 + [2] * 4 + [1] * 2 + [2] * 2,
        "num_steps": [1] * NUM_STEPS,
        "shard": [0] * 8 + [1] * 4,
        "tokens": [256] * NUM_STEPS,
        "loss": [4.0 - 0.01 * k for k in range(NUM_STEPS)],
        "gradient_norm": [1.0] * NUM_STEPS,
        "tokens_per_second": [1000.0] * NUM_STEPS,
    }
    return Work(update=update, log=log)


class IntakeScenario(Scenario):
    """What was received and judged stays so; one of two copies is accepted, once, and whole."""

    name = "intake"

    def prepare(self, folder: Path) -> None:
        from synnq_assets.modeling.models import build_model, named_weights, write_weights

        recipe = change_recipe(load_recipe("smoke"), {"intake": {"probe": False}})
        home = Home.create(
            folder / "state/home", Settings(profile=load_profile("local"), recipe=recipe)
        )
        grant_own_keys(home)
        self.weights = folder / "model.safetensors"
        write_weights(self.weights, named_weights(build_model(recipe, seed=0)), metadata={})
        self.keys = {node_id: self._enrol(home, node_id) for node_id in NODES}
        start(home)
        put_base(home, ROUND, NODES)
        self.orders = {node_id: self._order(home, node_id) for node_id in NODES}
        first, second = (build_work(self.weights, seed) for seed in (1, 2))
        self.outboxes = {node_id: self._hand_in(folder, node_id, first) for node_id in NODES}
        self.again = self._hand_in(folder / "again", NODES[0], second)
        home.audit.database.close()

    def _enrol(self, home: Home, node_id: str) -> SigningKey:
        key = SigningKey.generate()
        application = NodeApplication(
            node_id=node_id,
            organisation="A",
            signing_public_key=key.public_key,
            sealing_public_key=SealingKey.generate().public_key,
            profile=build_profile(node_id),
            agreement=build_agreement(node_id),
        )
        with home.audit.act("enrol_node", node_id, actor="coordinator") as deed:
            Registry(home.ledger).enrol(
                sign_record(application, key), home.coordinator, at=deed.intent
            )
        return key

    def _order(self, home: Home, node_id: str) -> Order:
        file = describe_file(self.weights)
        sha256 = digest_files((file,))
        home.store.put_file(f"checkpoints/{sha256}/model.safetensors", self.weights)
        order = make_order(
            self.weights,
            home.settings.recipe,
            round=ROUND,
            assignment_id=f"{ROUND}.{node_id}.1",
            node_id=node_id,
            agreement_sha256=build_agreement(node_id).digest(),
            base=CheckpointRef(round="r0000", checkpoint_sha256=sha256, files=(file,)),
            issued_at=now_at() - timedelta(hours=1),
            deadline_at=now_at() + timedelta(days=1),
        )
        home.campaign.put_order(order, home.coordinator)
        return order

    def _hand_in(self, folder: Path, node_id: str, work: Work) -> Path:
        order, outbox = self.orders[node_id], folder / "outbox" / node_id
        rates = [order.lr.at(step / NUM_STEPS) for step in range(NUM_STEPS)]
        work = replace(work, log={**work.log, "learning_rate": rates})
        write_work(outbox, work)
        submission = build_submission(
            outbox,
            order,
            work,
            started_at=order.issued_at + timedelta(minutes=5),
            finished_at=order.issued_at + timedelta(minutes=30),
        )
        write_atomically(outbox / "submission.json", sign_record(submission, self.keys[node_id]))
        return outbox

    def act(self, state: Path, tell: Tell) -> None:
        home = open_home(state / "home")
        for node_id, order in self.orders.items():
            subject = order.assignment_id
            with home.audit.act("local_checkpoint", subject, actor="coordinator") as deed:
                deed.details["sha256"] = store_submission(
                    home, self.outboxes[node_id], order
                ).sha256
            tell(received=node_id)
            with home.audit.act("verified_submission", subject, actor="coordinator") as deed:
                verdict = judge(home, order, at=deed.intent)
                deed.details["decision"] = verdict.decision
            tell(judged=node_id, digest=verdict.digest())
        try:
            store_submission(home, self.again, self.orders[NODES[0]])
            tell(replaced=NODES[0])
        except ObjectConflictError:
            pass  # the first one counts
        home.audit.database.close()

    def check(self, state: Path, told: Told, *, is_complete: bool) -> Iterator[Problem]:
        home = open_home(state / "home")
        home.audit.verify(home.log_keys.verifier)
        home.audit.database.close()
        accepted = []
        for node_id, order in self.orders.items():
            quarantine = state / "home/store" / quarantine_key(ROUND, order.assignment_id)
            was_received = (quarantine / "arrival.json").exists()
            if was_received and not self._is_same(quarantine, node_id):
                yield Problem("torn", f"the submission of {node_id} in quarantine")
            if not was_received and {"received": node_id} in told:
                yield Problem("lost", f"the submission of {node_id}")
            verdict = home.campaign.find_verdict(order.assignment_id)
            digests = {fact["digest"] for fact in told if fact.get("judged") == node_id}
            if digests and (verdict is None or digests != {verdict.digest()}):
                yield Problem("lost", f"the verdict on {node_id}")
            if verdict is not None and verdict.decision == "accepted":
                accepted.append(node_id)
                if not self._is_same(
                    home.store.root / accepted_key(ROUND, order.assignment_id), node_id
                ):
                    yield Problem("torn", f"the accepted submission of {node_id}")
        if len(accepted) > 1 or any("replaced" in fact for fact in told):
            yield Problem(
                "twice", "a copy, or a second submission for one assignment, was accepted"
            )
        if is_complete and accepted != [NODES[0]]:
            yield Problem("lost", f"accepted are {accepted}")

    def _is_same(self, folder: Path, node_id: str) -> bool:
        held = set(os.listdir(folder)) - {"arrival.json"}
        return held == set(EXPECTED_FILES) and all(
            (folder / name).read_bytes() == (self.outboxes[node_id] / name).read_bytes()
            for name in EXPECTED_FILES
        )


SCENARIO = IntakeScenario()
