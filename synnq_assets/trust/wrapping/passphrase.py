"""A passphrase: scrypt (N = 2^17, r = 8, p = 1) to a secret, AES-256-GCM under it.

PKCS#8's own encryption is not used: it binds no context and proves no integrity.

Source: RFC 7914; the parameters are the first choice of OWASP's Password Storage Cheat Sheet.
"""

import secrets
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import SecretStr

from synnq_assets.errors import KeyProtectionError
from synnq_assets.settings.secrets import read_passphrases
from synnq_assets.trust.wrapping.base import (
    KeyContext,
    KeyWrapper,
    decrypt_key,
    encrypt_key,
    parse_wrapped,
    render_wrapped,
)

LOG2_N, BLOCK_SIZE, PARALLELISM = 17, 8, 1
FORM = f"scrypt-{LOG2_N}-{BLOCK_SIZE}-{PARALLELISM}"  # the only one that is read: no costly others
SALT_BYTES = 16
MIN_CHARACTERS = 12


def _new_salt() -> bytes:
    return secrets.token_bytes(SALT_BYTES)


@dataclass(frozen=True)
class PassphraseWrapper(KeyWrapper):
    """Wraps under a passphrase. All that one instance wraps shares a salt, so derives once."""

    name: ClassVar[str] = "passphrase"
    can_destroy: ClassVar[bool] = False

    passphrases: tuple[SecretStr, ...]  # the first wraps; the others, former ones, still unwrap
    salt: bytes = field(default_factory=_new_salt)

    @classmethod
    def open(cls) -> Self:  # noqa: D102 - contract in the base
        passphrases = read_passphrases()
        if not passphrases:
            raise KeyProtectionError(
                "a key is protected by a passphrase, and none is given; set "
                "SYNNQ_KEY_PASSPHRASE_FILE to a file that holds it, or SYNNQ_KEY_PASSPHRASE"
            )
        return cls(passphrases)

    def wrap(self, key: bytes, context: KeyContext) -> str:  # noqa: D102
        current = self.passphrases[0]
        if len(current.get_secret_value()) < MIN_CHARACTERS:
            raise KeyProtectionError(
                f"the passphrase is shorter than {MIN_CHARACTERS} characters; take a longer one"
            )
        secret = _derive_secret(current, self.salt)
        return render_wrapped(FORM, self.salt + encrypt_key(key, secret, context))

    def unwrap(self, wrapped: str, context: KeyContext) -> bytes:  # noqa: D102
        data = parse_wrapped(FORM, wrapped, context)
        salt, encrypted = data[:SALT_BYTES], data[SALT_BYTES:]
        for passphrase in self.passphrases:
            with suppress(InvalidTag):
                return decrypt_key(encrypted, _derive_secret(passphrase, salt), context)
        raise KeyProtectionError(
            f"the {context} does not open: the passphrase is wrong, or the file is damaged"
        )

    def destroy(self, context: KeyContext) -> None:
        """Refuse: whoever knows the passphrase opens every copy.

        Raises:
            KeyProtectionError: always.
        """
        raise KeyProtectionError(
            f"a passphrase cannot destroy the {context}: copies of the wrapped key still open; "
            "use the wrapper file or vault-transit for keys that have to be destroyed"
        )


@lru_cache(maxsize=16)
def _derive_secret(passphrase: SecretStr, salt: bytes) -> bytes:
    # Normalised (NFC), so that the same characters count as typed on another keyboard.
    text = unicodedata.normalize("NFC", passphrase.get_secret_value()).encode()
    return Scrypt(salt=salt, length=32, n=1 << LOG2_N, r=BLOCK_SIZE, p=PARALLELISM).derive(text)
