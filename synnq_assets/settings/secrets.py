"""Secrets that protect keys at rest: what the environment says, never written anywhere.

A secret comes from a file that the environment names, or from the environment itself; the file is
better, since child processes and crash reports get the environment.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from synnq_assets.errors import SettingsError

MAX_SECRET_BYTES = 4096
_ADDRESS = re.compile(r"(https|http)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/?")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class VaultAccess:
    """Where Vault is, and how to speak to it."""

    address: str
    token: SecretStr
    namespace: str | None = None
    ca_file: Path | None = None  # None: the authorities of the system
    mount: str = "transit"


def _read_secret(name: str, environment: Mapping[str, str]) -> SecretStr | None:
    """Return the secret that NAME or NAME_FILE gives; an error never repeats it."""
    value, path = environment.get(name), environment.get(f"{name}_FILE")
    if value and path:
        raise SettingsError(f"both {name} and {name}_FILE are set; keep one of them")
    if path:
        value = _read_file(Path(path), f"{name}_FILE")
    return SecretStr(value) if value else None


def _read_file(path: Path, origin: str) -> str:
    """Return the text of a file that the variable `origin` names, without its last newline."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_SECRET_BYTES + 1).decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise SettingsError(f"cannot read {path}, named by {origin}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SettingsError(f"{path}, named by {origin}, is not UTF-8 text") from None
    if not text or len(text) > MAX_SECRET_BYTES:
        raise SettingsError(f"{path}, named by {origin}, is empty, or too long for a secret")
    return text


def read_passphrases(environment: Mapping[str, str] | None = None) -> tuple[SecretStr, ...]:
    """Return the lines of what SYNNQ_KEY_PASSPHRASE_FILE or SYNNQ_KEY_PASSPHRASE gives.

    The first protects; the others are former ones that still open.

    Raises:
        SettingsError: both are set, or the file cannot be used.
    """
    values = os.environ if environment is None else environment
    secret = _read_secret("SYNNQ_KEY_PASSPHRASE", values)
    lines = secret.get_secret_value().splitlines() if secret else []
    return tuple(SecretStr(line) for line in lines if line)


def read_key_folder(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the folder that SYNNQ_KEY_FOLDER names, or None."""
    text = (os.environ if environment is None else environment).get("SYNNQ_KEY_FOLDER")
    return Path(text) if text else None


def read_vault_access(environment: Mapping[str, str] | None = None) -> VaultAccess | None:
    """Return what VAULT_ADDR and its companions say, or None where one of the two is missing.

    VAULT_TOKEN or VAULT_TOKEN_FILE, VAULT_NAMESPACE, VAULT_CACERT and SYNNQ_VAULT_MOUNT.

    Raises:
        SettingsError: not an https URL (http is for loopback alone), or not a token.
    """
    values = os.environ if environment is None else environment
    address, token = values.get("VAULT_ADDR"), _read_secret("VAULT_TOKEN", values)
    if not address or token is None:
        return None
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise SettingsError("VAULT_ADDR must be https://host:port, without user, path or query")
    if match[1] == "http" and match[2] not in _LOOPBACK:
        raise SettingsError("VAULT_ADDR must begin with https://: keys and token travel to it")
    if not re.fullmatch(r"[!-~]+", token.get_secret_value()):
        raise SettingsError("the Vault token has characters that no token has; check its file")
    ca_file = values.get("VAULT_CACERT")
    if ca_file and not Path(ca_file).is_file():
        raise SettingsError(f"VAULT_CACERT names {ca_file}, which is not a file")
    return VaultAccess(
        address=address.rstrip("/"),
        token=token,
        namespace=values.get("VAULT_NAMESPACE") or None,
        ca_file=Path(ca_file) if ca_file else None,
        mount=values.get("SYNNQ_VAULT_MOUNT") or "transit",
    )
