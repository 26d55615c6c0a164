"""Commands about releases: verify one, serve one. They need no home."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from synnq_assets.errors import ReleaseError, ServingError
from synnq_assets.storage.files import write_atomically

if TYPE_CHECKING:
    from synnq_assets.release import VerifiedRelease

RootOption = Annotated[
    str | None,
    typer.Option("--root", help="The coordinator's public key (ed25519:…), received out of band."),
]


def verify(
    folder: Annotated[Path, typer.Argument(help="A release.")], root: RootOption = None
) -> None:
    """Verify a release offline: every file, every signature, the chain of checkpoints."""
    from synnq_assets.release import verify_release

    if not folder.is_dir():
        raise ReleaseError(f"{folder} is not a folder")
    verified = verify_release(folder, root)
    table = Table(show_header=False, box=None)
    for name, detail in verified.checks:
        table.add_row("[green]ok[/]", name, detail)
    console = Console()
    console.print(table)
    console.print(f"checkpoint {verified.record.checkpoint_sha256}")
    warn_unpinned(verified, console)


def warn_unpinned(verified: "VerifiedRelease", console: Console) -> None:
    """Say that a release was checked against nothing but the key that it carries itself."""
    if not verified.is_pinned:
        console.print(
            "[yellow]The release is consistent, but its root key was taken from the folder itself. "
            "Give the coordinator's key with --root to know whose it is.[/]"
        )


def api_key(
    file: Annotated[Path, typer.Argument(help="File of accepted keys' hashes; appended to.")],
) -> None:
    """Make an API key: print it once, and add its SHA-256 to a file."""
    from synnq_assets.serving import generate_api_key

    key, sha256 = generate_api_key()
    held = file.read_text() if file.exists() else ""
    write_atomically(file, f"{held}{sha256}\n".encode(), mode=0o600)
    typer.echo(key)


def serve(
    folder: Annotated[Path, typer.Argument(help="A release.")],
    root: RootOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    api_key_file: Annotated[
        Path, typer.Option(help="SHA-256 of accepted API keys, one a line; see `synnq api-key`.")
    ] = Path("api-keys"),
) -> None:
    """Serve OpenAI-style completions from a verified release."""
    from synnq_assets.release import verify_release
    from synnq_assets.serving import ServedRelease
    from synnq_assets.serving import serve as run_server

    if not api_key_file.exists():
        raise ServingError(f"{api_key_file} does not exist; make a key with `synnq api-key FILE`")
    verified = verify_release(folder, root)
    warn_unpinned(verified, Console(stderr=True))
    record = verified.record
    served = ServedRelease(
        folder=folder,
        model_name=record.model_name,
        round=record.round,
        checkpoint_sha256=record.checkpoint_sha256,
    )
    run_server(served, host=host, port=port, api_key_file=api_key_file)
