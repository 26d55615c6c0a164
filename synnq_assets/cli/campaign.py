"""Commands about the campaign: set it up, run it, look at it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from synnq_assets.cli.choices import verify_choices
from synnq_assets.cli.home import (
    DEFAULT_HOME,
    HomeOption,
    WrapperOption,
    grant_own_keys,
    open_home,
)
from synnq_assets.settings import resolve_settings
from synnq_assets.trust import Home
from synnq_assets.trust.wrapping import open_wrapper

if TYPE_CHECKING:
    from synnq_assets.shards import LineageRow


def init(
    home: Annotated[Path, typer.Argument(help="Folder to create.")] = DEFAULT_HOME,
    profile: Annotated[str, typer.Option(help="Site profile: a shipped name or a file.")] = "local",
    recipe: Annotated[str, typer.Option(help="Recipe: a shipped name or a file.")] = "demo",
    wrapper: WrapperOption = None,
) -> None:
    """Create a coordinator's home: settings, keys, store, audit log."""
    settings = verify_choices(resolve_settings(profile, recipe))
    created = Home.create(home, settings, wrapper=open_wrapper(wrapper) if wrapper else None)
    grant_own_keys(created)
    typer.echo(f"created {created.path}")
    typer.echo(f"coordinator public key: {created.coordinator.public_key}")
    typer.echo("move keys/root-1.pem, root-2.pem, root-3.pem offline; see docs/operators.md")
    typer.echo(f"next: enrol nodes (`synnq nodes --help`), then `synnq up --home {home}`")


def up(
    home: HomeOption = DEFAULT_HOME,
    port: Annotated[int, typer.Option(help="Port of the web page.")] = 3000,
    read_only: Annotated[
        bool, typer.Option(help="Only a web page that cannot change anything.")
    ] = False,
) -> None:
    """Run the Dagster daemon and web page of a home until Ctrl-C."""
    from synnq_assets.cli.services import Services

    opened = open_home(home)
    with Services(opened, port=port, is_read_only=read_only) as services:
        typer.echo(f"web page: {services.url}   (Ctrl-C ends it)")
        services.wait()


def rounds(
    home: HomeOption = DEFAULT_HOME,
    by_language: Annotated[
        bool, typer.Option("--by-language", help="Show the perplexity of each language instead.")
    ] = False,
) -> None:
    """Show the rounds: parents, submissions, figures, decisions."""
    opened = open_home(home)
    Console().print(render_languages(opened) if by_language else render_rounds(opened))


def render_rounds(home: Home) -> Table:
    """Return the table of rounds."""
    campaign = home.campaign
    table = Table(title=f"rounds of {home.settings.recipe.federation}", box=SIMPLE_HEAD)
    for column in ("round", "parent"):
        table.add_column(column)
    for column in ("perplexity", "F1", "accepted", "late", "refused", "reassigned"):
        table.add_column(column, justify="right")
    table.add_column("decision")
    for round_key in ["r0000", *campaign.list_rounds()]:
        checkpoint = campaign.find_checkpoint(round_key)
        evaluation = campaign.find_evaluation(round_key)
        verdicts = campaign.list_verdicts(round_key)
        losses = [campaign.find_loss(o.assignment_id) for o in campaign.list_orders(round_key)]
        contributions = checkpoint.contributions if checkpoint else ()
        table.add_row(
            round_key,
            (checkpoint.parent_round if checkpoint else None) or "-",
            f"{evaluation.headline_perplexity:.1f}" if evaluation else "-",
            f"{evaluation.headline_f1:.3f}" if evaluation else "-",
            str(sum(v.decision == "accepted" for v in verdicts)),
            str(sum(item.staleness_rounds > 0 for item in contributions)),
            str(sum(v.decision == "refused" for v in verdicts)),
            str(sum(len(loss.replacements) for loss in losses if loss)),
            evaluation.decision.replace("_", " ") if evaluation else "open",
        )
    return table


def render_languages(home: Home) -> Table:
    """Return the table of held-out perplexities, one row a round and one column a language."""
    campaign = home.campaign
    found = [campaign.find_evaluation(key) for key in ["r0000", *campaign.list_rounds()]]
    records = [record for record in found if record]
    languages = [
        language
        for language in sorted(home.settings.recipe.corpus.languages)
        if any(f"perplexity/{language}" in record.figures for record in records)
    ]
    table = Table(title="held-out perplexity by language", box=SIMPLE_HEAD)
    table.add_column("round")
    for language in languages:
        table.add_column(language, justify="right")
    for record in records:
        values = [record.figures.get(f"perplexity/{language}") for language in languages]
        table.add_row(record.round, *("-" if v is None else f"{v:.1f}" for v in values))
    return table


def lineage(
    document: Annotated[
        str, typer.Argument(help="Document id, or its first 8 digits or more; none: list some.")
    ] = "",
    home: HomeOption = DEFAULT_HOME,
    per_cell: Annotated[int, typer.Option(min=1, help="How many to list of each cell.")] = 3,
) -> None:
    """Follow a document: into which shards, to which nodes, into which checkpoints."""
    from synnq_assets.shards import find_document, list_documents

    opened = open_home(home)
    if not document:
        Console().print(render_documents(list_documents(opened.store, per_cell)))
        return
    rows = find_document(opened.store, document)
    console = Console()
    table = Table(title=f"document {rows[0].doc_id}")
    for column in ("shard", "cell", "part", "tokens", "source", "origin", "licence"):
        table.add_column(column)
    for row in rows:
        table.add_row(
            row.shard_id[:16],
            row.cell,
            f"{row.part} of {row.num_parts}",
            f"{row.begin_token} + {row.num_tokens}",
            row.source,
            row.origin,
            row.licence,
        )
    console.print(table)
    shard_ids = {row.shard_id for row in rows}
    for round_key in opened.campaign.list_rounds():
        for order in opened.campaign.list_orders(round_key):
            if shard_ids & {shard.shard_id for shard in order.shards}:
                verdict = opened.campaign.find_verdict(order.assignment_id)
                outcome = verdict.decision if verdict else "no submission"
                used = _find_use(opened, order.assignment_id)
                console.print(f"{round_key}: sent to {order.node_id}, {outcome}{used}")


def render_documents(rows: "list[LineageRow]") -> Table:
    """Return a table of documents that can be followed."""
    table = Table(title="documents to follow: `synnq lineage ID`", box=SIMPLE_HEAD)
    for column in ("cell", "document", "source", "origin"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row.cell, row.doc_id[:16], row.source, escape(row.origin))
    return table


def _find_use(home: Home, assignment_id: str) -> str:
    for record in home.campaign.list_checkpoints():
        for item in record.contributions:
            if item.assignment_id == assignment_id:
                sha256 = record.checkpoint.checkpoint_sha256[:16]
                return f", in checkpoint {record.round} ({sha256}…) with weight {item.weight:.3f}"
    return ""


def public_key(home: HomeOption = DEFAULT_HOME) -> None:
    """Print the coordinator's public key: the root of trust that others pin."""
    typer.echo(open_home(home).coordinator.public_key)


def show_settings(
    profile: Annotated[str, typer.Option(help="Site profile: a shipped name or a file.")] = "local",
    recipe: Annotated[str, typer.Option(help="Recipe: a shipped name or a file.")] = "demo",
) -> None:
    """Print the resolved settings as YAML, with their digest."""
    import yaml

    settings = verify_choices(resolve_settings(profile, recipe))
    typer.echo(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False), nl=False)
    typer.echo(f"# digest: {settings.digest}")
