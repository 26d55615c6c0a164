"""The audit log on SQLite: from an empty folder, acts, a batch, and an export for strangers."""

import base64
from collections.abc import Iterator
from pathlib import Path

from synnq_assets.trust.audit import AuditLog, LogKeys
from synnq_assets.trust.audit.entries import build_entry
from synnq_assets.trust.audit.export import export_log
from synnq_assets.trust.audit.verify_export import verify as verify_export
from synnq_assets_tests.faults.children import Tell, Told
from synnq_assets_tests.faults.scenario import Problem, Scenario

NUM_ACTS, NUM_BATCH = 4, 5


class AuditScenario(Scenario):
    """What was acknowledged is in the log, at its place, under every head that was given out."""

    name = "audit"

    def prepare(self, folder: Path) -> None:
        self.keys = LogKeys.generate("synnq-faults")
        (folder / "state").mkdir()

    def _open(self, state: Path) -> AuditLog:
        return AuditLog(state / "audit.sqlite", self.keys)

    def act(self, state: Path, tell: Tell) -> None:
        log = self._open(state)
        for k in range(NUM_ACTS):
            with log.act("act", f"s{k}", actor="coordinator") as deed:
                deed.details["k"] = k
            self._tell(log, tell, deed.intent, f"s{k}", "intent")
            self._tell(log, tell, deed.position, f"s{k}", "result")
        batch = [
            build_entry("event", "e", f"b{k}", actor="a", details={}) for k in range(NUM_BATCH)
        ]
        for k, position in enumerate(log.append_all(batch)):
            self._tell(log, tell, position, f"b{k}", "event")
        tell(exported=export_log(log, state / "export", self.keys.verifier))
        log.database.close()

    def _tell(
        self, log: AuditLog, tell: Tell, position: int | None, subject: str, phase: str
    ) -> None:
        head = base64.b64encode(log.signed_head()).decode()
        tell(position=position, entry=[phase, subject], head=head)

    def check(self, state: Path, told: Told, *, is_complete: bool) -> Iterator[Problem]:
        entries = [fact for fact in told if "position" in fact]
        log = self._open(state)
        if not log.database.exists():
            if entries:
                yield Problem("lost", "the whole log")
            return
        known = [self.keys.verifier.open(base64.b64decode(fact["head"])) for fact in entries]
        size, _ = log.verify(self.keys.verifier, known=known)
        held = {position: [entry.phase, entry.subject] for position, entry in log.iter_entries()}
        for fact in entries:
            if held.get(fact["position"]) != fact["entry"]:
                yield Problem("lost", f"entry {fact['position']}")
        positions = [fact["position"] for fact in entries]
        if len(set(positions)) != len(positions):
            yield Problem("twice", "two entries were acknowledged at one position")
        yield from self._check_export(state, told, size)
        log.database.close()

    def _check_export(self, state: Path, told: Told, size: int) -> Iterator[Problem]:
        exported = [fact["exported"] for fact in told if "exported" in fact]
        if not (state / "export/checkpoint").exists():
            if exported:
                yield Problem("lost", "the export")
            return
        vkey = self.keys.verifier.verifiers[0].vkey
        entries = verify_export(state / "export", [vkey])["entries"]
        if not isinstance(entries, int) or not max([0, *exported]) <= entries <= size:
            yield Problem("torn", f"the export has {entries} entries")


SCENARIO = AuditScenario()
