"""Commands that destroy: data keys at the coordinator, shards at a node; and what certifies it.

Nothing here is proved. A backup of store and key still opens, and a node has had the tokens.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from synnq_assets.cli.home import DEFAULT_HOME, HomeOption, open_home
from synnq_assets.cli.registry import NodeFolder, read_input
from synnq_assets.federation import Registry
from synnq_assets.records.base import canonical_json, now_at, sha256_hex
from synnq_assets.records.shards import ShardDestruction, ShardManifest
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust import Home

if TYPE_CHECKING:
    from synnq_assets.shards.shred import Choice

app = typer.Typer(help="Shards at rest.", no_args_is_help=True)


@app.callback()
def shards() -> None:
    """Shards at rest."""


@app.command("shred")
def shred(
    shard: Annotated[str | None, typer.Option(help="One shard: its id, or 8 digits of it.")] = None,
    source: Annotated[str | None, typer.Option(help="All with documents of this source.")] = None,
    licence: Annotated[
        str | None, typer.Option(help="All with documents under this SPDX expression.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All shards.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Destroy data keys for good: nothing opens these shards any more, and no order gets them.

    Backups of the home, and nodes that have had a shard, are not reached.
    """
    from synnq_assets.shards.shred import Choice, select_shards

    opened = open_home(home)
    choice = Choice(shard, source, licence, everything)
    chosen = select_shards(opened.campaign.list_manifests(), choice)
    Console().print(_render_shards(opened, chosen))
    if not yes:
        typer.confirm(f"destroy the data keys of {len(chosen)} shards?", abort=True)
    destroy_keys(opened, chosen, choice)
    typer.echo(f"destroyed {len(chosen)} data keys; destroy backups of the home as well")


def destroy_keys(opened: Home, chosen: list[ShardManifest], choice: "Choice") -> None:
    """Destroy the data keys of shards, and leave a signed record of each.

    The key goes before its record stands, so the record is never wrong; after a kill the same
    command completes it.
    """
    from synnq_assets.defs.federation import ALLOCATION_LOCK
    from synnq_assets.shards.shred import destroy_data_key

    ids = sorted(manifest.shard_id for manifest in chosen)
    sha256 = sha256_hex(canonical_json(ids))
    with (
        opened.lock(ALLOCATION_LOCK),
        opened.audit.act(
            "destroy_shards", str(choice), actor="steward", shards=len(ids), sha256=sha256
        ) as deed,
    ):
        for manifest in chosen:
            destroy_data_key(opened.store, manifest.shard_id)
            if opened.campaign.is_destroyed(manifest.shard_id):
                continue
            record = ShardDestruction(
                shard_id=manifest.shard_id,
                ciphertext_sha256=manifest.ciphertext_sha256,
                method="data-key-removed",
                audit_index=deed.intent,
                destroyed_at=now_at(),
            )
            opened.campaign.put_destruction(record, opened.steward)
        deed.details.update(shards=len(ids), sha256=sha256)


def _render_shards(opened: Home, chosen: list[ShardManifest]) -> Table:
    table = Table(title="shards", box=SIMPLE_HEAD)
    for column in ("shard", "cell", "tokens", "sources", "licences", "data key"):
        table.add_column(column)
    for manifest in chosen:
        table.add_row(
            manifest.shard_id[:16],
            manifest.cell,
            str(manifest.num_tokens),
            ", ".join(manifest.sources),
            ", ".join(manifest.licences),
            "destroyed" if opened.campaign.is_destroyed(manifest.shard_id) else "stands",
        )
    return table


def destroy(
    folder: NodeFolder,
    jobs: Annotated[
        Path | None, typer.Option(help="Where the node's job folders lie.", show_default="jobs")
    ] = None,
    assignment: Annotated[
        list[str] | None, typer.Option(help="Only this order, ended or not; repeat.")
    ] = None,
) -> None:
    """Destroy shards in the job folders of a node, and sign a certificate (on the node)."""
    from synnq_assets.federation.erasing import destroy_shards

    done = destroy_shards(folder, jobs or folder / "jobs", assignment or ())
    path = folder / f"destruction-{sha256_hex(done.envelope)[:12]}.json"
    write_atomically(path, done.envelope)
    for assignment_id in done.assignment_ids:
        typer.echo(f"destroyed the shards of {assignment_id}")
    for assignment_id in done.unfinished:
        typer.echo(f"left alone, since its job did not end: {assignment_id}")
    typer.echo(f"send {path} to the coordinator")


def certify(
    file: Annotated[Path, typer.Argument(help="The certificate, as the node signed it.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Take over a node's certificate of destruction; what it covers is no longer due."""
    from synnq_assets.federation.destruction import accept_certificate

    data = read_input(file)
    opened = open_home(home)
    campaign = opened.campaign
    orders = {
        order.assignment_id: order
        for round_key in campaign.list_rounds()
        for order in campaign.list_orders(round_key)
    }
    with opened.audit.act("certify_destruction", sha256_hex(data), actor="coordinator") as deed:
        record = accept_certificate(
            Registry(opened.ledger), data, orders, opened.coordinator, at=deed.intent
        )
        told = record.certificate
        deed.details.update(
            node=told.node_id,
            sha256=record.envelope_sha256,
            orders=len(told.assignment_ids),
            shards=len(told.shard_ids),
        )
    typer.echo(f"{told.node_id} certified {len(told.shard_ids)} shards as destroyed")
