"""A home with four nodes of different speed, enrolled as real ones are."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from synnq_assets.cli.demo.wishes import Wishes, resolve_wishes
from synnq_assets.cli.home import changing_registry, grant_own_keys
from synnq_assets.errors import SettingsError
from synnq_assets.federation import NodeIdentity, Registry, create_node
from synnq_assets.records.base import now_at
from synnq_assets.records.federation import NodeProfile, ParticipationAgreement
from synnq_assets.settings import Settings
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust import Home

TERMS = (
    b"Demonstration terms: shards stay on this machine and are deleted with the demo's folder.\n"
)
RETENTION_DAYS = 3650  # a demo that is taken up again later blocks no node
KILLED_NODE, HOSTILE_NODE = "node-south", "node-west"
KILL_ROUND, HOSTILE_ROUND = "r0002", "r0003"


@dataclass(frozen=True)
class DemoNode:
    """One node of the demo. Speed and power are declared, not measured."""

    node_id: str
    organisation: str
    tokens_per_second: float
    power_watts: float


NODES = (
    DemoNode("node-north", "Northern computing centre", 4000.0, 60.0),
    DemoNode("node-south", "University of the South", 3500.0, 45.0),
    DemoNode("node-east", "Eastern computing centre", 4000.0, 55.0),
    DemoNode("node-west", "Western company", 3000.0, 35.0),
)


def build_settings(recipe_name: str, *, num_rounds: int | None = None) -> Settings:
    """Return the settings of a home with the demo's nodes on this machine."""
    return resolve_wishes(Wishes(recipe=recipe_name, num_rounds=num_rounds))


def is_demo_home(path: Path) -> bool:
    """Return whether a folder holds a demo's federation."""
    files = [path / "settings.json", path / "audit.sqlite"]
    files += [path / "nodes" / node.node_id / "node.yaml" for node in NODES]
    return all(file.is_file() for file in files)


def remove_demo_home(path: Path) -> None:
    """Remove an earlier demo.

    Raises:
        SettingsError: the folder holds something else.
    """
    if not is_demo_home(path):
        raise SettingsError(
            f"{path} is not the home of a demo, so --fresh does not remove it; "
            f"choose another folder with --home, or remove it yourself"
        )
    shutil.rmtree(path)


def create_demo_home(path: Path, settings: Settings) -> Home:
    """Create the home, its keys and grants, and enrol the four nodes: all of it, or nothing.

    Raises:
        SettingsError: the folder is not empty.
    """
    path = path.absolute()
    if path.exists() and any(path.iterdir()):
        raise SettingsError(f"{path} is not empty; choose another folder, or remove it first")
    building = path.with_name(f".{path.name}.enrolling")
    shutil.rmtree(building, ignore_errors=True)
    home = Home.create(building, settings)
    grant_own_keys(home)
    for node in NODES:
        enrol_demo_node(home, node)
    make_hostile(home)
    if path.exists():
        path.rmdir()
    building.rename(path)
    opened = Home.open(path)
    Registry(opened.ledger).load()
    return opened


def enrol_demo_node(home: Home, node: DemoNode) -> None:
    """Create one node on this machine and enrol it from its signed application."""
    federation = home.settings.recipe.federation
    application = create_node(
        home.path / "nodes" / node.node_id,
        NodeIdentity(
            node.node_id,
            federation,
            node.organisation,
            home.coordinator.public_key,
            home.store.get_bytes("registry/metadata/1.root.json"),
        ),
        profile=NodeProfile(
            node_id=node.node_id,
            site=home.settings.profile.name,
            accelerator="cpu",
            architectures=("*",),
            memory_gib=home.settings.profile.machine.memory_gib_per_accelerator,
            num_hosts=1,
            num_accelerators=1,
            tokens_per_second=node.tokens_per_second,
            power_watts=node.power_watts,
            power_cap_watts=100.0,
            thermal_limit_celsius=90.0,
            temperature_celsius=45.0,
            container_runtime="none",
        ),
        agreement=ParticipationAgreement(
            node_id=node.node_id,
            organisation=node.organisation,
            terms_sha256=hashlib.sha256(TERMS).hexdigest(),
            retention_days=RETENTION_DAYS,
            destruction_deadline_days=RETENTION_DAYS,
            isolation="process",
            signed_at=now_at(),
        ),
    )
    with changing_registry(home, "enrol_node", node.node_id) as (registry, deed):
        record = registry.enrol(application, home.coordinator, at=deed.intent)
        deed.details.update(agreement=record.agreement_sha256)


def make_hostile(home: Home) -> None:
    """Let one node run another payload: what a node runs is the node's own choice."""
    path = home.path / "nodes" / HOSTILE_NODE / "node.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["payload"] = ["python", "-m", "synnq_assets.cli.demo.hostile"]
    write_atomically(path, yaml.safe_dump(config, sort_keys=False).encode())
