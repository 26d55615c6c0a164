"""The command tree. Each command imports what it needs when it runs."""

import re
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from synnq_assets import __version__
from synnq_assets.cli import audit, campaign, destruction, gateway, keys, nodes, releases
from synnq_assets.cli.demo.command import demo
from synnq_assets.errors import RecordError, SynnqError

USAGE_EXIT_CODE = 2
INTERRUPTED_EXIT_CODE = 130

app = typer.Typer(
    name="synnq",
    help="Train one language model together, with lineage that can be checked.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo)
app.command("init")(campaign.init)
app.command("up")(campaign.up)
app.command("rounds")(campaign.rounds)
app.command("lineage")(campaign.lineage)
app.command("public-key")(campaign.public_key)
app.command("settings")(campaign.show_settings)
app.add_typer(nodes.app, name="nodes")
app.add_typer(keys.app, name="keys")
app.add_typer(destruction.app, name="shards")
app.add_typer(audit.app, name="audit")
app.add_typer(gateway.app, name="gateway")
app.command("submit")(gateway.submit)
nodes.app.command("request-certificate")(gateway.request_certificate)
app.command("verify-release")(releases.verify)
app.command("api-key")(releases.api_key)
app.command("serve")(releases.serve)


@app.command("version")
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command("explain")
def explain(
    code: Annotated[str, typer.Argument(help="Such as OrderError@1f0c9b2ad3e4.")],
) -> None:
    """Say where in the program a failure came from, by its code."""
    from synnq_assets.privacy.failures import FAILURE_CODE, explain_place

    if not re.fullmatch(FAILURE_CODE, code):
        raise RecordError("a failure's code is the error's class, @ and 12 hexadecimal digits")
    kind, _, place = code.partition("@")
    found = explain_place(place)
    where = " or ".join(found) if found else "a place that this version does not have"
    typer.echo(f"{kind} in {where}; the sentence is in the node's own log folder")


def run(arguments: Sequence[str]) -> int:
    """Run one command, and return its exit code."""
    try:
        result = app(args=list(arguments), standalone_mode=False)
    except SynnqError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]error:[/] {escape(str(error))}", highlight=False
        )
        return USAGE_EXIT_CODE
    except typer.TyperException as error:
        typer.echo(f"error: {error.format_message()} (try --help)", err=True)
        return USAGE_EXIT_CODE
    except (typer.Abort, KeyboardInterrupt):
        result = INTERRUPTED_EXIT_CODE
    if result == INTERRUPTED_EXIT_CODE:  # typer itself makes this of Ctrl-C, and says nothing
        typer.echo("interrupted; nothing was left running, and the same command goes on", err=True)
    return result if isinstance(result, int) else 0
