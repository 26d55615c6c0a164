"""Commands about nodes. `create`, `profile`, `rotate-key` and `destroy` run at the node.

What the others change at the coordinator is published at once; see registry.py for the rest.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from synnq_assets.cli import destruction, registry
from synnq_assets.cli.home import (
    DEFAULT_HOME,
    HomeOption,
    WrapperOption,
    changing_registry,
    open_home,
)
from synnq_assets.cli.registry import read_input
from synnq_assets.errors import SettingsError, SynnqError
from synnq_assets.federation import NodeIdentity, Registry, create_node, sign_profile
from synnq_assets.records.base import now_at, sha256_hex
from synnq_assets.records.federation import NodeProfile, NodeRecord, ParticipationAgreement
from synnq_assets.records.identifiers import parse_node_id
from synnq_assets.settings import load_node_settings
from synnq_assets.settings.load import describe_invalid, read_yaml
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust.wrapping import open_wrapper

app = typer.Typer(help="Enrol and manage nodes.", no_args_is_help=True)
app.command("rotate-key")(registry.rotate_key)
app.command("rotate")(registry.rotate)
app.command("cap")(registry.cap)
app.command("export")(registry.export)
app.command("check")(registry.check)
app.command("destroy")(destruction.destroy)
app.command("certify")(destruction.certify)
app.add_typer(registry.root_app, name="root")
CapOption = Annotated[
    float, typer.Option(min=0.001, max=1.0, help="Largest share of a round's weights.")
]


def read_profile(path: Path, node_id: str) -> NodeProfile:
    """Read a node's profile from YAML.

    Raises:
        SettingsError: missing, misspelt or invalid fields.
    """
    raw = {**read_yaml(path), "node_id": node_id}
    try:
        return NodeProfile.model_validate(raw, strict=False)
    except ValidationError as error:
        raise SettingsError(describe_invalid(str(path), error)) from error


@app.command("create")
def create(
    folder: Annotated[Path, typer.Argument(help="Folder of the new node, on the node.")],
    node_id: Annotated[str, typer.Option(help="Id, such as lumi-g-03.")],
    federation: Annotated[str, typer.Option(help="Id of the federation.")],
    organisation: Annotated[str, typer.Option(help="Who runs the node.")],
    coordinator_key: Annotated[str, typer.Option(help="The coordinator's public key.")],
    root: Annotated[Path, typer.Option(help="root.json of the registry, from the coordinator.")],
    profile: Annotated[Path, typer.Option(help="YAML with the node's profile.")],
    terms: Annotated[Path, typer.Option(help="The terms that the node accepts, as received.")],
    retention_days: Annotated[int, typer.Option(help="How long opened shards may stay.")] = 30,
    wrapper: WrapperOption = None,
) -> None:
    """Create a node's keys and configuration, and its signed application (on the node)."""
    application = create_node(
        folder,
        NodeIdentity(
            parse_node_id(node_id), federation, organisation, coordinator_key, read_input(root)
        ),
        profile=read_profile(profile, node_id),
        agreement=ParticipationAgreement(
            node_id=node_id,
            organisation=organisation,
            terms_sha256=sha256_hex(read_input(terms)),
            retention_days=retention_days,
            destruction_deadline_days=retention_days,
            isolation="container",
            signed_at=now_at(),
        ),
        wrapper=open_wrapper(wrapper) if wrapper else None,
    )
    write_atomically(folder / "application.json", application)
    typer.echo(f"created {folder}; send {folder / 'application.json'} to the coordinator")


@app.command("profile")
def profile(
    folder: Annotated[Path, typer.Argument(help="Folder of the node, on the node.")],
    profile: Annotated[Path, typer.Option(help="YAML with the node's new profile.")],
) -> None:
    """Sign a new profile of a node with its key (on the node)."""
    node_id = load_node_settings(folder / "node.yaml").node_id
    signed = folder / "profile.json"
    write_atomically(signed, sign_profile(folder, read_profile(profile, node_id)))
    typer.echo(f"signed {signed}; send it to the coordinator")


@app.command("update")
def update(
    node_id: Annotated[str, typer.Argument(help="Id of the node.")],
    profile: Annotated[Path, typer.Option(help="profile.json, as the node signed it.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Take over the new profile that a node signed; it counts from the next round on."""
    data = read_input(profile)
    opened = open_home(home)
    with changing_registry(opened, "update_node_profile", node_id) as (nodes, deed):
        record = nodes.update_profile(node_id, data, opened.coordinator, at=deed.intent)
        deed.details.update(sha256=record.profile.digest())
    typer.echo(f"{node_id} has a new profile")


@app.command("enrol")
def enrol(
    application: Annotated[Path, typer.Argument(help="application.json of a node.")],
    weight_cap: CapOption = 1.0,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Enrol a node from its signed application; its signatures count from now on."""
    data = read_input(application)
    opened = open_home(home)
    claimed = opened.concealer.name_node(application.parent.name)  # not on the keyring yet
    with changing_registry(opened, "enrol_node", claimed) as (nodes, deed):
        record = nodes.enrol(data, opened.coordinator, at=deed.intent, weight_cap=weight_cap)
        name = opened.concealer.name_node(record.node_id)
        deed.details.update(node=name, agreement=record.agreement_sha256)
    typer.echo(f"enrolled {record.node_id} of {record.organisation}")


@app.command("list")
def list_nodes(home: HomeOption = DEFAULT_HOME) -> None:
    """List the enrolled nodes."""
    table = Table()
    for column in ("node", "organisation", "status", "kind", "GiB", "tokens/s", "cap", "enrolled"):
        table.add_column(column)
    damaged: list[str] = []

    def note(item: str, error: SynnqError) -> None:
        damaged.append(f"{item} has a damaged record and takes no part: {error}")

    for node in Registry(open_home(home).ledger).list_nodes(skip=note):
        table.add_row(*_describe(node))
    Console().print(table, *damaged, sep="\n")


def _describe(node: NodeRecord) -> tuple[str, ...]:
    profile = node.profile
    return (
        node.node_id,
        node.organisation,
        node.status,
        profile.accelerator,
        f"{profile.memory_gib:g}",
        f"{profile.tokens_per_second:g}",
        f"{node.weight_cap:g}",
        f"{node.enrolled_at:%Y-%m-%d %H:%M}",
    )


def _set_status(
    node_id: str, status: Literal["active", "suspended", "revoked"], home: Path
) -> None:
    opened = open_home(home)
    with changing_registry(opened, "set_node_status", node_id, status=status) as (nodes, deed):
        nodes.set_status(node_id, status, opened.coordinator, at=deed.intent)
    typer.echo(f"{node_id} is {status}")


@app.command("suspend")
def suspend(node_id: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Give a node no more orders and count none of its signatures, until it is resumed."""
    _set_status(node_id, "suspended", home)


@app.command("resume")
def resume(node_id: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Let a suspended node take part again."""
    _set_status(node_id, "active", home)


@app.command("revoke")
def revoke(node_id: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Exclude a node for good; what was accepted before stays accepted."""
    _set_status(node_id, "revoked", home)
