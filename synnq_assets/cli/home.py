"""Where the commands find the coordinator's home."""

import os
from pathlib import Path
from typing import Annotated

import typer

from synnq_assets.federation import Registry
from synnq_assets.trust import Home

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


def grant_own_keys(home: Home) -> None:
    """Let the coordinator's own steward, release and log keys sign in their roles."""
    registry = Registry(home.ledger)
    with home.audit.act("grant_keys", "steward, release, log", actor="coordinator"):
        registry.grant_key("steward", "steward", home.steward.public_key, home.coordinator)
        registry.grant_key("release", "release", home.release_key.public_key, home.coordinator)
        registry.grant_key("log", "log", home.log_keys.ed25519.public_key, home.coordinator)
        registry.grant_key(
            "log-ml-dsa-44", "log", home.log_keys.ml_dsa_44.public_key, home.coordinator
        )
