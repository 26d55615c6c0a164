"""HashiCorp Vault's transit engine: keys are wrapped by Vault, under secrets that never leave it.

One transit key a context (`aes256-gcm96`, not exportable), named by the context's digest; the
context is sent as associated data. To destroy is to delete the transit key with all its versions.
Rotating a transit key at Vault leaves earlier wrapped keys readable.

Source: Vault's HTTP API, transit secrets engine (associated data since Vault 1.9); client: hvac.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Self

from synnq_assets.errors import KeyProtectionError, TrustError
from synnq_assets.settings.secrets import VaultAccess, read_vault_access
from synnq_assets.trust.encoding import decode_base64, encode_base64
from synnq_assets.trust.wrapping.base import KeyContext, KeyWrapper

KEY_TYPE = "aes256-gcm96"
TIMEOUT_SECONDS = 10.0
_WRAPPED = re.compile(r"vault:v[1-9][0-9]{0,8}:[A-Za-z0-9+/]+={0,2}", re.ASCII)


@dataclass(frozen=True)
class VaultTransitWrapper(KeyWrapper):
    """Wraps at Vault."""

    name: ClassVar[str] = "vault-transit"

    access: VaultAccess

    @classmethod
    def open(cls) -> Self:  # noqa: D102 - contract in the base
        access = read_vault_access()
        if access is None:
            raise KeyProtectionError(
                "a key is protected by Vault, and no Vault is given; set VAULT_ADDR, and "
                "VAULT_TOKEN_FILE or VAULT_TOKEN"
            )
        return cls(access)

    def wrap(self, key: bytes, context: KeyContext) -> str:  # noqa: D102
        name = self._key_name(context)
        self._ask(context, lambda transit: transit.create_key(name, key_type=KEY_TYPE, **self._at))
        answer = self._ask(
            context,
            lambda transit: transit.encrypt_data(
                name, plaintext=encode_base64(key), **self._data(context)
            ),
        )
        return self._verify_wrapped(self._read(answer, "ciphertext"), context)

    def unwrap(self, wrapped: str, context: KeyContext) -> bytes:  # noqa: D102
        name = self._key_name(context)
        self._verify_wrapped(wrapped, context)
        answer = self._ask(
            context,
            lambda transit: transit.decrypt_data(name, ciphertext=wrapped, **self._data(context)),
        )
        try:
            return decode_base64(self._read(answer, "plaintext"))
        except TrustError:
            raise KeyProtectionError(self._strange) from None

    def destroy(self, context: KeyContext) -> None:  # noqa: D102
        name = self._key_name(context)
        if self._ask(context, lambda transit: _find(transit, name, self._at)) is None:
            return
        self._ask(
            context,
            lambda transit: transit.update_key_configuration(
                name, deletion_allowed=True, **self._at
            ),
        )
        self._ask(context, lambda transit: transit.delete_key(name, **self._at))
        if self._ask(context, lambda transit: _find(transit, name, self._at)) is not None:
            raise KeyProtectionError(f"Vault at {self.access.address} kept the {context}")

    @property
    def _at(self) -> dict[str, Any]:
        return {"mount_point": self.access.mount}

    def _data(self, context: KeyContext) -> dict[str, Any]:
        return {"associated_data": encode_base64(context.canonical_bytes()), **self._at}

    @staticmethod
    def _key_name(context: KeyContext) -> str:
        return f"synnq-{context.digest()[:48]}"

    def _verify_wrapped(self, wrapped: str, context: KeyContext) -> str:
        if not _WRAPPED.fullmatch(wrapped):
            raise KeyProtectionError(
                f"the wrapped {context} is damaged: it is not vault:v<version>:<base64>"
            )
        return wrapped

    @property
    def _strange(self) -> str:
        return f"what answers at {self.access.address} is not Vault's transit engine"

    def _read(self, answer: Any, field: str) -> str:
        try:
            value = answer["data"][field]
        except (KeyError, TypeError):
            value = None
        if not isinstance(value, str):
            raise KeyProtectionError(self._strange)
        return value

    def _ask(self, context: KeyContext, request: Callable[[Any], Any]) -> Any:
        """Send one request; whatever goes wrong is one sentence, without Vault's own words.

        Those may repeat what was sent, a token or a key among it.
        """
        client = _connect(self.access)
        from hvac.exceptions import VaultError
        from requests import RequestException

        try:
            return request(client.secrets.transit)
        except VaultError as error:
            reason = _explain(error, context)
            raise KeyProtectionError(f"Vault at {self.access.address} {reason}") from None
        except RequestException as error:
            problem = KeyProtectionError(
                f"Vault at {self.access.address} cannot be reached ({type(error).__name__}); "
                "check VAULT_ADDR, its certificate and the network"
            )
            problem.is_transient = True
            raise problem from None


def _find(transit: Any, name: str, at: dict[str, Any]) -> Any:
    from hvac.exceptions import InvalidPath

    try:
        return transit.read_key(name, **at)
    except InvalidPath as error:
        if error.errors:  # no such mount; a mount that lacks the key says nothing
            raise
        return None


def _explain(error: Exception, context: KeyContext) -> str:
    kind = type(error).__name__
    return {
        "VaultDown": "is sealed or in maintenance; unseal it",
        "VaultNotInitialized": "is not initialised",
        "Forbidden": f"denies this token what the {context} needs; check token and policy",
        "Unauthorized": "does not accept this token; renew it",
        "InvalidPath": "has no transit engine at this mount; enable it, or set SYNNQ_VAULT_MOUNT",
        "InvalidRequest": f"refuses the {context}: damaged, of another place, or destroyed",
        "RateLimitExceeded": "takes no more requests for now; try again later",
    }.get(kind, f"failed ({kind}); see its own log")


@lru_cache(maxsize=4)
def _connect(access: VaultAccess) -> Any:
    try:
        import hvac
    except ImportError:
        raise KeyProtectionError("the package hvac is missing; install the extra vault") from None
    return hvac.Client(
        url=access.address,
        token=access.token.get_secret_value(),
        namespace=access.namespace,
        verify=True if access.ca_file is None else str(access.ca_file),
        timeout=TIMEOUT_SECONDS,
        allow_redirects=False,  # the token goes to this address and no other
    )
