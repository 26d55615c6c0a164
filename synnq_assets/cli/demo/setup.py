"""A home with four nodes of different speed, enrolled as real ones are."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from synnq_assets.cli.home import grant_own_keys
from synnq_assets.federation import Registry, create_node
from synnq_assets.federation.registry import NodeIdentity
from synnq_assets.records.base import now_at
from synnq_assets.records.federation import NodeProfile, ParticipationAgreement
from synnq_assets.settings import Settings, change_recipe, load_profile, load_recipe
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust import Home

TERMS = (
    b"Demonstration terms: shards stay on this machine and are deleted with the demo's folder.\n"
)
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


def build_settings(
    recipe_name: str,
    *,
    num_rounds: int | None,
    corpus: Path | None = None,
    files: str = "",
    max_documents: int = 1500,
) -> Settings:
    """Return the demo's settings, with the user's rounds and corpus in place of the recipe's."""
    recipe = load_recipe(recipe_name)
    changes: dict[str, dict[str, Any]] = {}
    if num_rounds is not None:
        changes["rounds"] = {"num_rounds": num_rounds}
        changes["release"] = {"every_rounds": num_rounds}
    if corpus is not None:
        params = {"path": str(corpus.absolute()), "files": files, "max_documents": max_documents}
        languages = "bg cs da de el en es et fi fr hr hu it lt lv nl pl pt ro sk sl sv"
        changes["aggregation"] = {"target_mix": {}}  # names the sectors of the recipe's own sources
        changes["corpus"] = {
            "sources": [{"name": "directory", "kind": "directory", "params": params}],
            "licences": [*recipe.corpus.licences, "LicenseRef-DE-UrhG-5", "LicenseRef-EE-AutOS-5"],
            "languages": languages.split(),
        }
    return Settings(profile=load_profile("local"), recipe=change_recipe(recipe, changes))


def create_demo_home(path: Path, settings: Settings) -> Home:
    """Create the home, its keys and grants, and enrol the four nodes."""
    home = Home.create(path, settings)
    grant_own_keys(home)
    for node in NODES:
        enrol_demo_node(home, node)
    make_hostile(home)
    return home


def enrol_demo_node(home: Home, node: DemoNode) -> None:
    """Create one node on this machine and enrol it from its signed application."""
    federation = home.settings.recipe.federation
    application = create_node(
        home.path / "nodes" / node.node_id,
        NodeIdentity(node.node_id, federation, node.organisation, home.coordinator.public_key),
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
            retention_days=1,
            destruction_deadline_days=1,
            isolation="process",
            signed_at=now_at(),
        ),
    )
    with home.audit.act("enrol_node", node.node_id, actor="coordinator") as deed:
        record = Registry(home.ledger).enrol(application, home.coordinator)
        deed.details.update(agreement=record.agreement_sha256)


def make_hostile(home: Home) -> None:
    """Let one node run another payload: what a node runs is the node's own choice."""
    path = home.path / "nodes" / HOSTILE_NODE / "node.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["payload"] = ["python", "-m", "synnq_assets.cli.demo.hostile"]
    write_atomically(path, yaml.safe_dump(config, sort_keys=False).encode())
