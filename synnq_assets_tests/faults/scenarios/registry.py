"""The registry: two nodes are enrolled, one is suspended, the other's weight is capped; each change
is published, and shown to a client."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from synnq_assets.cli.home import changing_registry, grant_own_keys, open_home
from synnq_assets.errors import EnrolmentError, RegistryError
from synnq_assets.federation import Registry
from synnq_assets.federation.enrolment import NodeApplication
from synnq_assets.settings import resolve_settings
from synnq_assets.trust import Home, SigningKey, sign_record
from synnq_assets.trust.keys import SealingKey
from synnq_assets.trust.registry.client import RegistryClient
from synnq_assets.trust.registry.publishing import publish_registry, render_registry, write_registry
from synnq_assets_tests.builders import build_agreement, build_profile
from synnq_assets_tests.faults.children import Tell, Told
from synnq_assets_tests.faults.scenario import Problem, Scenario

EAST, NORTH = "node-east", "node-north"
EXPECTED = {EAST: ("suspended", 1.0), NORTH: ("active", 0.25)}


def apply_for(node_id: str) -> bytes:
    """Return a node's signed application."""
    key = SigningKey.generate()
    application = NodeApplication(
        node_id=node_id,
        organisation="A",
        signing_public_key=key.public_key,
        sealing_public_key=SealingKey.generate().public_key,
        profile=build_profile(node_id),
        agreement=build_agreement(node_id),
    )
    return sign_record(application, key)


class RegistryScenario(Scenario):
    """What was acknowledged stands, a client always sees one whole registry, never an older one."""

    name = "registry"

    def prepare(self, folder: Path) -> None:
        home = Home.create(folder / "state/home", resolve_settings("local", "smoke"))
        grant_own_keys(home)
        home.audit.database.close()
        self.root = home.store.get_bytes("registry/metadata/1.root.json")
        self.applications = {node_id: apply_for(node_id) for node_id in EXPECTED}

    def act(self, state: Path, tell: Tell) -> None:
        home = open_home(state / "home")
        signer = home.coordinator
        for node_id, application in self.applications.items():
            self._change(
                home, tell, node_id, ("active", 1.0), lambda registry, at, application=application:
                registry.enrol(application, signer, at=at),
            )  # fmt: skip
        self._change(
            home, tell, EAST, ("suspended", 1.0),
            lambda registry, at: registry.set_status(EAST, "suspended", signer, at=at),
        )  # fmt: skip
        self._change(
            home, tell, NORTH, ("active", 0.25),
            lambda registry, at: registry.set_weight_cap(NORTH, 0.25, signer, at=at),
        )  # fmt: skip
        publish_registry(home)
        write_registry(state / "shown", render_registry(home))
        home.audit.database.close()

    def _change(
        self,
        home: Home,
        tell: Tell,
        node_id: str,
        wanted: tuple[str, float],
        change: Callable[[Registry, int], object],
    ) -> None:
        """Make a change, unless it or a later one stands: as an operator who looks first."""
        held = Registry(home.ledger).find(node_id)
        if held is None or (wanted != ("active", 1.0) and (held.status, held.weight_cap) != wanted):
            with changing_registry(home, "change_node", node_id) as (registry, deed):
                change(registry, deed.intent)
            write_registry(home.path.parent / "shown", render_registry(home))
        versions = len(list(home.store.iter_keys(f"registry/nodes/{node_id}")))
        tell(node=node_id, versions=versions)

    def check(self, state: Path, told: Told, *, is_complete: bool) -> Iterator[Problem]:
        home = open_home(state / "home")
        home.audit.verify(home.log_keys.verifier)
        held = {node.node_id: node for node in Registry(home.ledger).load().list_nodes()}
        for fact in told:
            versions = len(list(home.store.iter_keys(f"registry/nodes/{fact['node']}")))
            if fact["node"] not in held or versions < fact["versions"]:
                yield Problem("lost", f"a change of {fact['node']}")
        for node_id, application in self.applications.items():
            if node_id not in held:
                continue
            with suppress(EnrolmentError):
                Registry(home.ledger).load().enrol(application, home.coordinator, at=10**6)
                yield Problem("twice", f"{node_id} could be enrolled again")
        if is_complete:
            found = {node_id: (node.status, node.weight_cap) for node_id, node in held.items()}
            versions = len(list(home.store.iter_keys("registry/nodes")))
            if found != EXPECTED:
                yield Problem("lost", f"nodes stand as {found}")
            if versions != 4:
                yield Problem("twice", f"{versions} versions were written for 4 changes")
        yield from self._check_client(state, is_complete=is_complete)
        home.audit.database.close()

    def _check_client(self, state: Path, *, is_complete: bool) -> Iterator[Problem]:
        if not (state / "shown/metadata/timestamp.json").exists():
            if is_complete:
                yield Problem("lost", "the published registry")
            return
        folder = state.parent / "client"
        client = (
            RegistryClient(folder) if folder.exists() else RegistryClient.pin(folder, self.root)
        )
        try:
            trusted = client.refresh(state / "shown")
            nodes = trusted.node_ids
        except RegistryError as error:
            yield Problem("torn", f"a client refuses what is shown: {error}")
            return
        if is_complete and set(nodes) != set(EXPECTED):
            yield Problem("torn", f"a client sees the nodes {nodes}")


SCENARIO = RegistryScenario()
