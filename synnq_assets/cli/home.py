"""Where the commands find the coordinator's home."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from synnq_assets.federation import Registry
from synnq_assets.trust import AuditAction, Home

HomeOption = Annotated[
    Path,
    typer.Option(
        "--home", envvar="SYNNQ_HOME", help="The coordinator's home.", show_default=".synnq/home"
    ),
]
WrapperOption = Annotated[
    str | None,
    typer.Option(help="What protects the private keys: passphrase, file or vault-transit."),
]
DEFAULT_HOME = Path(".synnq/home")


def open_home(path: Path) -> Home:
    """Open a home with all granted and enrolled keys on its keyring."""
    home = Home.open(path)
    Registry(home.ledger).load()
    os.environ["SYNNQ_HOME"] = str(home.path)  # for Dagster's resources, here and in children
    return home


@contextmanager
def changing_registry(
    home: Home, action: str, subject: str, **details: str
) -> Iterator[tuple[Registry, AuditAction]]:
    """Log an intent, change the registry in the block, publish it, log the result.

    One change at a time: each sees the keys and versions of the one before.
    """
    from synnq_assets.trust.registry.publishing import publish_registry

    with (
        home.lock("registry"),
        home.audit.act(action, subject, actor="coordinator", **details) as deed,
    ):
        yield Registry(home.ledger).load(), deed
        deed.details.update(published=publish_registry(home).timestamp.version)


def grant_own_keys(home: Home) -> None:
    """Let the coordinator's own steward, release and log keys sign in their roles."""
    signer, log = home.coordinator, home.log_keys
    with changing_registry(home, "grant_keys", "steward, release, log") as (registry, deed):
        at = deed.intent
        registry.grant_key("steward", "steward", home.steward.public_key, signer, at=at)
        registry.grant_key("release", "release", home.release_key.public_key, signer, at=at)
        registry.grant_key("log", "log", log.ed25519.public_key, signer, at=at)
        registry.grant_key("log-ml-dsa-44", "log", log.ml_dsa_44.public_key, signer, at=at)
