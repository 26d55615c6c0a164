"""Keys at rest: private keys, and the data keys of what is stored.

In: a key and its context (whose it is, what it is for). Out: text that opens under that context
alone, with a secret that is kept elsewhere.

| name | secret | can destroy | file |
|---|---|---|---|
| `passphrase` | in somebody's head, or a file that the operator guards | no | passphrase.py |
| `file` | one a context, in a folder on another volume | yes | file.py |
| `vault-transit` | one a context, inside HashiCorp Vault | yes | vault_transit.py |

base.py has the contract.
"""

from synnq_assets.errors import KeyProtectionError
from synnq_assets.trust.wrapping.base import KeyContext, KeyWrapper
from synnq_assets.trust.wrapping.file import FileWrapper
from synnq_assets.trust.wrapping.passphrase import PassphraseWrapper
from synnq_assets.trust.wrapping.vault_transit import VaultTransitWrapper

WRAPPERS: dict[str, type[KeyWrapper]] = {
    PassphraseWrapper.name: PassphraseWrapper,
    FileWrapper.name: FileWrapper,
    VaultTransitWrapper.name: VaultTransitWrapper,
}


def open_wrapper(name: str) -> KeyWrapper:
    """Return a wrapper by name, as the environment describes it.

    Raises:
        KeyProtectionError: there is none of this name, or the environment does not describe it.
    """
    if name not in WRAPPERS:
        known = ", ".join(WRAPPERS)
        raise KeyProtectionError(f"unknown key wrapper {name[:40]!r}; use {known}")
    return WRAPPERS[name].open()


__all__ = [
    "WRAPPERS",
    "FileWrapper",
    "KeyContext",
    "KeyWrapper",
    "PassphraseWrapper",
    "VaultTransitWrapper",
    "open_wrapper",
]
