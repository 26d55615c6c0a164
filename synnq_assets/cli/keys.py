"""Commands about private keys at rest.

What changes a key or hands one out is an act in the home's audit log. A node keeps no such log:
with `--node`, nothing is noted.
"""

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from synnq_assets.cli.home import DEFAULT_HOME, HomeOption, WrapperOption
from synnq_assets.errors import TrustError
from synnq_assets.records.base import sha256_hex
from synnq_assets.settings import load_node_settings
from synnq_assets.storage.files import hold_lock
from synnq_assets.trust import Home, SealingKey, SigningKey
from synnq_assets.trust.home import ROOT_KEYS
from synnq_assets.trust.keyfiles import KeyFile, node_key_file, read_facts, rewrap_keys
from synnq_assets.trust.wrapping import KeyWrapper, open_wrapper

ALGORITHMS = ("ed25519", "ecdsa-p256")  # ML-DSA-44 co-signs heads of the log, and nothing else
KEY_NAME = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"

NodeOption = Annotated[
    Path | None, typer.Option("--node", help="A node's folder, instead of a home (on the node).")
]
app = typer.Typer(help="Keep private keys at rest.", no_args_is_help=True)


@dataclass(frozen=True)
class _Owner:
    """Whose keys a command is about."""

    files: tuple[KeyFile, ...]
    home: Home | None

    @contextmanager
    def act(self, action: str, subject: str, **details: Any) -> Iterator[dict[str, Any]]:
        """Note an act in the home's log; what is put into the yielded dict is its result."""
        if self.home is None:
            yield {}
            return
        with self.home.audit.act(action, subject, actor="coordinator", **details) as deed:
            yield deed.details


def _find_owner(home: Path, node: Path | None) -> _Owner:
    if node is not None:
        settings = load_node_settings(node / "node.yaml")
        files = (node_key_file(settings, "signing"), node_key_file(settings, "sealing"))
        return _Owner(files, None)
    opened = Home.open(home)
    return _Owner(opened.key_files, opened)


@app.command("list")
def list_keys(home: HomeOption = DEFAULT_HOME, node: NodeOption = None) -> None:
    """List private keys: what they are, and how they are protected. Opens none of them."""
    table = Table()
    for column in ("name", "algorithm", "key id", "public key", "protection", "warnings"):
        table.add_column(column, overflow="fold")
    for file in _find_owner(home, node).files:
        table.add_row(file.name, *(escape(text) for text in _describe(file)))
    Console().print(table)


def _describe(file: KeyFile) -> tuple[str, str, str, str, str]:
    try:
        facts = read_facts(file)
    except TrustError as error:
        return "-", "-", "-", "-", str(error)
    warnings = [] if facts.wrapper else ["not encrypted; see `synnq keys protect`"]
    if stat.S_IMODE(file.path.stat().st_mode) & 0o077:
        warnings.append(f"others can read it; chmod 600 {file.path}")
    if file.name in ROOT_KEYS:
        warnings.append("root key of the registry: move it offline; see docs/operators.md")
    key_id = sha256_hex(facts.public_key.encode())[:16]
    public = facts.public_key.partition(":")[2]
    shown = public if len(public) < 60 else f"{public[:40]}…"
    return facts.algorithm, key_id, shown, facts.wrapper or "none", "; ".join(warnings) or "-"


@app.command("generate")
def generate(
    name: Annotated[str, typer.Argument(help="Name of the new key, such as deputy.")],
    algorithm: Annotated[str, typer.Option(help=" or ".join(ALGORITHMS))] = ALGORITHMS[0],
    home: HomeOption = DEFAULT_HOME,
    wrapper: WrapperOption = None,
) -> None:
    """Generate a signing key in a home, protected as the coordinator's unless said otherwise."""
    if algorithm not in ALGORITHMS:
        raise TrustError(f"cannot generate {algorithm[:40]!r} keys; use {' or '.join(ALGORITHMS)}")
    if len(name) > 40 or not re.fullmatch(KEY_NAME, name):
        raise TrustError("a key's name is 1 to 40 lower-case letters, digits and single hyphens")
    opened = Home.open(home)
    file = opened.key_file(name)
    chosen = wrapper or read_facts(opened.key_file("coordinator")).wrapper
    with hold_lock(file.path.parent / ".lock"):
        if file.path.exists():
            raise TrustError(f"{file.path} exists; a key is never overwritten")
        key = SigningKey.generate(algorithm)
        with _Owner((file,), opened).act("generate_key", name, algorithm=algorithm) as result:
            key.write(file, open_wrapper(chosen) if chosen else None)
            result.update(key_id=key.key_id, protection=chosen or "none")
    typer.echo(f"generated {file.path}, protection: {chosen or 'none'}")
    typer.echo(key.public_key)


@app.command("protect")
def protect(
    wrapper: Annotated[str, typer.Option(help="passphrase, file or vault-transit")] = "passphrase",
    home: HomeOption = DEFAULT_HOME,
    node: NodeOption = None,
) -> None:
    """Encrypt all private keys anew, in place; also to change the passphrase or the wrapper."""
    _rewrap(_find_owner(home, node), open_wrapper(wrapper))


@app.command("unprotect")
def unprotect(home: HomeOption = DEFAULT_HOME, node: NodeOption = None) -> None:
    """Store all private keys without protection."""
    _rewrap(_find_owner(home, node), None)


def _rewrap(owner: _Owner, wrapper: KeyWrapper | None) -> None:
    protection = wrapper.name if wrapper else "none"
    names = [file.name for file in owner.files]
    action = "protect_keys" if wrapper else "unprotect_keys"
    with owner.act(action, ", ".join(names), protection=protection) as result:
        rewrap_keys(owner.files, wrapper)
        epochs = owner.home.concealer.rewrap(wrapper) if owner.home else 0
        result.update(keys=len(names), epochs=epochs)
    typer.echo(f"{len(names)} keys, protection: {protection}")


@app.command("export-public")
def export_public(
    name: Annotated[str, typer.Argument(help="A key's name, as `synnq keys list` shows it.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Print a key's public part; the key is opened, so that nobody else's is printed."""
    owner = _find_owner(home, None)
    file = next((file for file in owner.files if file.name == name), None)
    if file is None:
        known = ", ".join(file.name for file in owner.files)
        raise TrustError(f"no key is named {name[:40]!r}; there are {known}")
    with owner.act("export_public_key", name) as result:
        if read_facts(file).algorithm == "x25519":
            public = SealingKey.read(file).public_key
        else:
            public = SigningKey.read(file).public_key
        result.update(sha256=sha256_hex(public.encode()))
    typer.echo(public)
