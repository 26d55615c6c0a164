"""Commands about the registry as others see it: keys that change, exports, the root."""

import tempfile
from datetime import UTC
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from synnq_assets.cli.home import (
    DEFAULT_HOME,
    HomeOption,
    WrapperOption,
    changing_registry,
    open_home,
)
from synnq_assets.errors import EnrolmentError
from synnq_assets.federation import activate_rotation, request_rotation
from synnq_assets.records.base import now_at
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust import SigningKey
from synnq_assets.trust.keyfiles import KeyFile
from synnq_assets.trust.wrapping import open_wrapper

root_app = typer.Typer(help="The root of the registry.", no_args_is_help=True)
NodeFolder = Annotated[Path, typer.Argument(help="Folder of the node, on the node.")]


def read_input(path: Path) -> bytes:
    """Return the bytes of a file that somebody handed over.

    Raises:
        EnrolmentError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise EnrolmentError(f"cannot read {path}: {error.strerror}") from error


def rotate_key(
    folder: NodeFolder,
    activate: Annotated[
        bool, typer.Option("--activate", help="Use the new keys: the coordinator published them.")
    ] = False,
    wrapper: WrapperOption = None,
) -> None:
    """Create a node's next keys and the request to take them; later, use them (on the node)."""
    if activate:
        activate_rotation(folder)
        typer.echo(f"{folder} signs with its new key")
        return
    request = request_rotation(folder, wrapper=open_wrapper(wrapper) if wrapper else None)
    write_atomically(folder / "rotation.json", request)
    typer.echo(f"send {folder / 'rotation.json'} to the coordinator; then run this with --activate")


def rotate(
    request: Annotated[Path, typer.Argument(help="rotation.json, as the node signed it.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Take over the new keys that a node asked for; signatures by the old one end here."""
    data = read_input(request)
    opened = open_home(home)
    with changing_registry(opened, "rotate_node_key", request.parent.name) as (nodes, deed):
        record = nodes.rotate(data, opened.coordinator, at=deed.intent)
        deed.details.update(node=record.node_id)
    typer.echo(f"{record.node_id} has new keys")


def cap(
    node_id: str,
    weight_cap: Annotated[
        float, typer.Argument(min=0.001, max=1.0, help="Largest share of a round's weights.")
    ],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Limit a node's share of the weights of a round."""
    opened = open_home(home)
    with changing_registry(opened, "cap_node", node_id, weight_cap=str(weight_cap)) as held:
        nodes, deed = held
        nodes.set_weight_cap(node_id, weight_cap, opened.coordinator, at=deed.intent)
    typer.echo(f"{node_id} has at most {weight_cap:.1%} of a round's weights")


def export(
    folder: Annotated[Path, typer.Argument(help="Gets metadata/ and targets/.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Write the registry as a plain TUF repository, for any TUF client; up to date."""
    from synnq_assets.trust.registry.publishing import render_registry, write_registry

    files = render_registry(open_home(home))
    newest = max(
        (name for name in files if name.endswith(".root.json")),
        key=lambda name: int(name.split("/")[1].split(".")[0]),
    )
    write_registry(folder, {**files, "root.json": files[newest]})
    typer.echo(f"wrote {folder}: {len(files)} files; hand {folder / 'root.json'} over by itself")


def check(
    folder: Annotated[Path, typer.Argument(help="A registry, as `export` writes it.")],
    root: Annotated[Path, typer.Option(help="root.json, received by another way.")],
    state: Annotated[
        Path | None, typer.Option(help="Folder that remembers, so that nothing older passes later.")
    ] = None,
) -> None:
    """Verify a registry as a client does, and list the nodes that it names."""
    from synnq_assets.trust.registry.client import PINNED_FILE, RegistryClient

    with tempfile.TemporaryDirectory() as work:
        place = state or Path(work)
        if not (place / PINNED_FILE).exists():
            RegistryClient.pin(place, read_input(root))
        registry = RegistryClient(place).refresh(folder)
        table = Table(title=f"registry, version {registry.targets.version}")
        for column in ("node", "organisation", "status", "cap", "changed at"):
            table.add_column(column)
        for node_id in registry.node_ids:
            node = registry.read_node(node_id)
            table.add_row(
                *(node_id, node.organisation, node.status),
                *(f"{node.weight_cap:g}", f"#{node.audit_index}"),
            )
    Console().print(table)


@root_app.command("show")
def show_root(home: HomeOption = DEFAULT_HOME) -> None:
    """Show the newest root: its keys, and until when it counts."""
    from synnq_assets.trust.registry.repository import MetadataRepository
    from synnq_assets.trust.registry.roles import read_keys

    root = MetadataRepository(open_home(home).store).get_root().signed
    keys = read_keys(root)
    expires = root.expires.astimezone(UTC)
    typer.echo(f"version {root.version}, counts until {expires:%Y-%m-%d %H:%M} UTC")
    for role, held in (("root", keys.root), ("targets", keys.coordinator), ("online", keys.online)):
        for key in held:
            typer.echo(f"{role:8} {key}")


@root_app.command("rotate")
def rotate_root(
    key: Annotated[list[Path], typer.Option(help="Private root key, wherever it lies; repeat.")],
    root_key: Annotated[
        list[str] | None, typer.Option(help="Public root key from now on; repeat for all of them.")
    ] = None,
    coordinator_key: Annotated[
        str | None, typer.Option(help="Another public key of the coordinator.")
    ] = None,
    registry_key: Annotated[
        str | None, typer.Option(help="Another public key for snapshot and timestamp.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Sign the next root with root keys given by path: a new year, or other keys."""
    from synnq_assets.trust.registry.repository import MetadataRepository
    from synnq_assets.trust.registry.roles import RootKeys, read_keys

    opened = open_home(home)
    federation = opened.settings.recipe.federation
    signers = [SigningKey.read(KeyFile(path, federation, path.stem)) for path in key]
    repository = MetadataRepository(opened.store)
    with (
        opened.lock("registry"),
        opened.audit.act("rotate_root", "registry", actor="coordinator") as deed,
    ):
        held = read_keys(repository.get_root().signed)
        named = RootKeys(
            root=tuple(root_key) if root_key else held.root,
            coordinator=(coordinator_key,) if coordinator_key else held.coordinator,
            online=(registry_key,) if registry_key else held.online,
        )
        version = repository.rotate_root(named, signers, now_at())
        deed.details.update(version=version)
    typer.echo(f"root {version} counts; clients follow it from the one that they pinned")
