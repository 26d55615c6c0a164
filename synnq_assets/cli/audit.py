"""Commands about the audit log: look at it, verify it, hand it to others."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from synnq_assets.cli import witness
from synnq_assets.cli.home import DEFAULT_HOME, HomeOption, open_home
from synnq_assets.errors import AuditError
from synnq_assets.storage.files import write_atomically

app = typer.Typer(help="Show, verify and export the audit log.", no_args_is_help=True)
app.add_typer(witness.app, name="witness")


@app.command("show")
def show(
    home: HomeOption = DEFAULT_HOME,
    last: Annotated[int, typer.Option(help="How many entries, from the end; 0 for all.")] = 40,
    action: Annotated[str, typer.Option(help="Only entries about this act.")] = "",
    names: Annotated[
        bool, typer.Option("--names", help="Nodes by name, where their epoch's key still exists.")
    ] = False,
) -> None:
    """Show entries of the audit log; nodes are pseudonyms in it."""
    opened = open_home(home)
    tell: Callable[[str], str] = opened.concealer.reveal if names else str
    entries = [
        (position, entry)
        for position, entry in opened.audit.iter_entries()
        if not action or entry.action == action
    ]
    table = Table()
    for column in ("#", "at", "phase", "act", "subject", "actor", "answers", "details"):
        table.add_column(column, overflow="fold")
    for position, entry in entries[-last:] if last else entries:
        details = ", ".join(f"{key}={value}" for key, value in sorted(entry.details.items()))
        table.add_row(
            str(position),
            f"{entry.logged_at:%H:%M:%S}",
            entry.phase,
            entry.action,
            tell(entry.subject),
            tell(entry.actor),
            "" if entry.intent is None else str(entry.intent),
            tell(details)[:160],
        )
    Console().print(table)


@app.command("epochs")
def epochs(home: HomeOption = DEFAULT_HOME) -> None:
    """List the epochs of the log's pseudonyms: whether their key still exists."""
    table = Table()
    for column in ("epoch", "begins", "ends", "key", "protection"):
        table.add_column(column)
    for epoch in reversed(open_home(home).concealer.epochs):
        state = "destroyed" if epoch.secret is None else "held"
        days = (f"{epoch.begins_at:%Y-%m-%d}", f"{epoch.ends_at:%Y-%m-%d}")
        table.add_row(epoch.name, *days, state, epoch.wrapper or "none")
    Console().print(table)


@app.command("forget")
def forget(
    epoch: Annotated[str, typer.Argument(help="Its number in `synnq audit epochs`.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Destroy the key of an epoch's pseudonyms: nobody can turn them back from then on."""
    opened = open_home(home)
    with opened.audit.act("forget_pseudonyms", epoch, actor="coordinator"):
        opened.concealer.forget(epoch)
    typer.echo(f"the key of epoch {epoch} is destroyed here; backups of it have to be, too")


@app.command("erase")
def erase(
    commitment: Annotated[str, typer.Argument(help="As it stands in an entry: c-…")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Erase the salt of a commitment: nobody can check a guess against it from then on."""
    opened = open_home(home)
    with opened.audit.act("erase_salt", commitment, actor="coordinator"):
        opened.concealer.erase(commitment)
    typer.echo(f"{commitment} can no longer be checked; backups of its salt have to go, too")


@app.command("verify")
def verify(
    home: HomeOption = DEFAULT_HOME,
    seen: Annotated[
        list[Path] | None,
        typer.Option(help="A head or receipt from earlier; the log must still extend it."),
    ] = None,
) -> None:
    """Recompute every hash of the log and check every signed head."""
    from synnq_assets.trust.audit.export import read_head

    opened = open_home(home)
    verifier = opened.log_verifier
    known = [verifier.open(read_head(path)) for path in seen or ()]
    size, root = opened.audit.verify(verifier, known=known)
    since = f", extends {len(known)} seen before" if known else ""
    typer.echo(f"audit log is consistent: {size} entries, root {root}{since}")


@app.command("head")
def head(home: HomeOption = DEFAULT_HOME) -> None:
    """Print the newest signed head: keep it somewhere else, for `verify --seen`."""
    typer.echo(open_home(home).audit.signed_head().decode(), nl=False)


@app.command("keys")
def keys(home: HomeOption = DEFAULT_HOME) -> None:
    """Print the log's public keys, for witnesses and for verify_export.py."""
    for key in open_home(home).log_verifier.verifiers:
        typer.echo(key.vkey)


@app.command("receipt")
def receipt(
    position: Annotated[int, typer.Argument(help="The entry's number in `synnq audit show`.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Write a proof that an entry is in the log, under its newest signed head."""
    write_atomically(out, open_home(home).audit.receipt(position))
    typer.echo(f"wrote {out}")


@app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="New, or an earlier export of this log.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Write the log as static files that anyone can check with Python alone."""
    from synnq_assets.trust.audit.export import export_log

    opened = open_home(home)
    size = export_log(opened.audit, folder, opened.log_verifier)
    vkey = opened.log_verifier.verifiers[0].vkey
    typer.echo(f"exported {size} entries to {folder}")
    typer.echo(f"check: python3 {folder}/verify_export.py {folder} --vkey '{vkey}'")


@app.command("cosign")
def cosign(
    url: Annotated[str, typer.Argument(help="The witness's address.")],
    vkey: Annotated[str, typer.Option(help="The witness's key, received out of band.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Ask a witness to co-sign the log's newest head, and keep its signature."""
    from synnq_assets.trust.audit.cosigning import fetch_cosignature
    from synnq_assets.trust.audit.notes import NoteVerifier

    opened = open_home(home)
    note = opened.audit.signed_head()
    verifier = NoteVerifier.parse(vkey)
    if verifier.name == opened.log_verifier.origin:
        raise AuditError("that is the log's own key; a witness has another")
    head, line = fetch_cosignature(opened.audit, note, url)
    opened.audit.add_cosignature(head.size, line, verifier)
    typer.echo(f"{verifier.name} co-signed the head of {head.size} entries")
