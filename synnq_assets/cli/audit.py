"""Commands about the audit log."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from synnq_assets.cli.home import DEFAULT_HOME, HomeOption, open_home

app = typer.Typer(help="Show and verify the audit log.", no_args_is_help=True)


@app.command("show")
def show(
    home: HomeOption = DEFAULT_HOME,
    last: Annotated[int, typer.Option(help="How many entries, from the end; 0 for all.")] = 40,
    action: Annotated[str, typer.Option(help="Only entries about this act.")] = "",
) -> None:
    """Show entries of the audit log."""
    entries = [
        (position, entry)
        for position, entry in open_home(home).audit.iter_entries()
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
            entry.subject,
            entry.actor,
            "" if entry.intent is None else str(entry.intent),
            details[:160],
        )
    Console().print(table)


@app.command("verify")
def verify(home: HomeOption = DEFAULT_HOME) -> None:
    """Recompute every hash of the log and check every signed head."""
    opened = open_home(home)
    size, root = opened.audit.verify(opened.log_verifier)
    typer.echo(f"audit log is consistent: {size} entries, root {root}")
