"""The four roles of the registry: their keys, how long their word lasts, and who signs a root.

| role | keys | threshold | lasts |
|---|---|---|---|
| root | root-1, root-2, root-3, offline | 2 | 365 days |
| targets | the coordinator's | 1 | 90 days |
| snapshot, timestamp | the registry's own, online | 1 | 24 hours |

A new root counts if the old one's keys and its own keys signed it, each to the threshold.

Source: TUF specification 1.0, §4.3 and §5.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.signer import CryptoSigner, Key, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    TOP_LEVEL_ROLE_NAMES,
    Metadata,
    Role,
    Root,
    Signed,
    Snapshot,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from synnq_assets.errors import RegistryError, TrustError
from synnq_assets.trust.algorithms.ecdsa_p256 import EcdsaP256
from synnq_assets.trust.algorithms.ed25519 import Ed25519
from synnq_assets.trust.encoding import encode_base64
from synnq_assets.trust.keys import SigningKey, parse_public_key

ROOT_THRESHOLD = 2
LIFETIMES = {
    Root.type: timedelta(days=365),
    Targets.type: timedelta(days=90),
    Snapshot.type: timedelta(hours=24),
    Timestamp.type: timedelta(hours=24),
}
ONLINE_ROLES = (Snapshot.type, Timestamp.type)


@dataclass(frozen=True)
class RootKeys:
    """The public keys that a root names, as `<algorithm>:<base64>`."""

    root: tuple[str, ...]
    coordinator: tuple[str, ...]  # sign targets, and orders
    online: tuple[str, ...]  # sign snapshot and timestamp


def expires_at(role: str, now: datetime) -> datetime:
    """Return when metadata of a role that is signed now stops to count."""
    return now.replace(microsecond=0) + LIFETIMES[role]


def encode_key(public_key: str) -> SSlibKey:
    """Return a public key as TUF writes it.

    Raises:
        TrustError: not a key, unsafe, or of an algorithm that registries are not signed with.
    """
    key = parse_public_key(public_key)
    if key.algorithm.name not in (Ed25519.name, EcdsaP256.name):
        raise RegistryError(f"registries are not signed with {key.algorithm.name} keys")
    return SSlibKey.from_crypto(key.public)


def decode_key(key: Key) -> str:
    """Return a public key of TUF metadata as `<algorithm>:<base64>`.

    Raises:
        RegistryError: of another algorithm, or not safe to verify with.
    """
    try:
        held = str(key.keyval["public"])
        if key.keytype == "ed25519":
            text = f"{Ed25519.name}:{encode_base64(bytes.fromhex(held))}"
        else:
            text = f"{EcdsaP256.name}:{encode_base64(_compress(held.encode()))}"
        parse_public_key(text)
    except (KeyError, ValueError, UnsupportedAlgorithm, TrustError) as error:
        raise RegistryError(f"the root names a key that cannot be used: {error}") from error
    return text


def _compress(pem: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = load_pem_public_key(pem)
    if not isinstance(public, EllipticCurvePublicKey):
        raise ValueError("neither Ed25519 nor ECDSA P-256")
    return public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def read_keys(root: Root) -> RootKeys:
    """Return the keys that a root names.

    Raises:
        RegistryError: a key is missing or unsafe, or one stands under two ids, which would count it
            twice.
    """
    if any(key_id not in root.keys for role in root.roles.values() for key_id in role.keyids):
        raise RegistryError("a role of the root names a key that the root does not hold")
    held = {
        role: tuple(decode_key(root.keys[key_id]) for key_id in root.roles[role].keyids)
        for role in TOP_LEVEL_ROLE_NAMES
    }
    for role, keys in held.items():
        if len(set(keys)) != len(keys):
            raise RegistryError(f"the root names one {role} key under two ids")
    if root.roles[Root.type].threshold < ROOT_THRESHOLD:
        raise RegistryError(f"the root asks for fewer than {ROOT_THRESHOLD} signatures of itself")
    return RootKeys(held[Root.type], held[Targets.type], held[Timestamp.type])


def build_root(keys: RootKeys, *, version: int, now: datetime) -> Root:
    """Return root metadata, to be signed.

    Raises:
        RegistryError: fewer than two different root keys, or no coordinator or online key.
    """
    if len(set(keys.root)) < ROOT_THRESHOLD or not keys.coordinator or not keys.online:
        raise RegistryError(
            f"a root needs {ROOT_THRESHOLD} different root keys or more, the coordinator's key and "
            "the registry's"
        )
    places = {Root.type: keys.root, Targets.type: keys.coordinator}
    places |= dict.fromkeys(ONLINE_ROLES, keys.online)
    encoded = {role: [encode_key(text) for text in texts] for role, texts in places.items()}
    return Root(
        version=version,
        expires=expires_at(Root.type, now),
        keys={key.keyid: key for held in encoded.values() for key in held},
        roles={
            role: Role([key.keyid for key in held], ROOT_THRESHOLD if role == Root.type else 1)
            for role, held in encoded.items()
        },
        consistent_snapshot=True,
    )


def sign_metadata(signed: Signed, keys: Sequence[SigningKey]) -> bytes:
    """Return metadata as bytes, signed with each of the keys."""
    held: Any = signed  # the library's type lists the four kinds one by one
    metadata = Metadata(held)
    for key in keys:
        public = encode_key(key.public_key)
        metadata.sign(CryptoSigner(key.private, public), append=True)
    return metadata.to_bytes(JSONSerializer(compact=True))


def open_root(data: bytes) -> Metadata[Root]:
    """Return root metadata, its keys checked and its signatures not.

    Raises:
        RegistryError: not a root, or its keys cannot be used.
    """
    try:
        metadata = Metadata[Root].from_bytes(data)
    except RepositoryError as error:
        raise RegistryError(f"not root metadata: {error}") from error
    if metadata.signed.type != Root.type:
        raise RegistryError(f"expected root metadata, got {metadata.signed.type}")
    read_keys(metadata.signed)
    return metadata


def verify_root(data: bytes, previous: Metadata[Root] | None) -> Metadata[Root]:
    """Return a root that may follow another, or stand first.

    Raises:
        RegistryError: not the next version, or not signed by two keys of the old root and two of
            its own.
    """
    new = open_root(data)
    version = previous.signed.version + 1 if previous else 1
    if new.signed.version != version:
        raise RegistryError(f"root {new.signed.version} cannot stand where {version} is expected")
    parties = {"its own": new.signed, **({"the old root's": previous.signed} if previous else {})}
    for whose, root in parties.items():
        try:
            found = root.get_verification_result(Root.type, new.signed_bytes, new.signatures)
        except RepositoryError as error:  # a fraction or a lone surrogate has no canonical form
            raise RegistryError(
                f"root {version} cannot be verified: it has no canonical form"
            ) from error
        if not found:
            raise RegistryError(
                f"root {version} is signed by {len(found.signed)} of {whose} keys; "
                f"{found.threshold} have to sign"
            )
    return new
