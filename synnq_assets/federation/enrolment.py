"""What a node does on its own machine: create itself, sign newer profiles, take new keys.

Private keys never leave the machine. What a node hands over is signed with its own key: an
application is proof of possession and signature of the terms in one, a rotation is signed with the
old key and the new one.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

import yaml

from synnq_assets.errors import EnrolmentError
from synnq_assets.records.base import Record, UtcTime, now_at
from synnq_assets.records.federation import NodeProfile, ParticipationAgreement
from synnq_assets.records.identifiers import NodeId
from synnq_assets.settings import load_node_settings
from synnq_assets.settings.base import Variant
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust.envelopes import sign_record
from synnq_assets.trust.keyfiles import KeyFile, node_key_file
from synnq_assets.trust.keys import SealingKey, SigningKey
from synnq_assets.trust.wrapping import KeyWrapper

K = TypeVar("K", SigningKey, SealingKey)


class NodeApplication(Record):
    """What a node hands over to be enrolled, signed with the key that it applies with."""

    kind: ClassVar[str] = "node-application"

    node_id: NodeId
    organisation: str
    signing_public_key: str
    sealing_public_key: str
    profile: NodeProfile
    agreement: ParticipationAgreement


class KeyRotation(Record):
    """A node's request to sign and open with new keys; signed with the old key and the new one."""

    kind: ClassVar[str] = "key-rotation"

    node_id: NodeId
    old_signing_public_key: str
    signing_public_key: str
    sealing_public_key: str
    requested_at: UtcTime


@dataclass(frozen=True)
class NodeIdentity:
    """Who a new node is, and whom it trusts."""

    node_id: str
    federation: str
    organisation: str
    coordinator_public_key: str
    registry_root: bytes | None = None  # root of the registry, received out of band; pinned


def create_node(
    folder: Path,
    identity: NodeIdentity,
    *,
    profile: NodeProfile,
    agreement: ParticipationAgreement,
    parallelism: Variant | None = None,
    wrapper: KeyWrapper | None = None,
) -> bytes:
    """Create a node's keys and configuration on its own machine; return its signed application.

    Args:
        folder: on the node; gets `node.yaml`, `keys/` and the exposure list.
        identity: the node's id, the coordinator's public key and the registry's root, received out
            of band.
        profile: what the node can do.
        agreement: the terms that it accepts.
        parallelism: overrides the recipe's, where the site must.
        wrapper: protects the private keys; without it they are plain files.

    Raises:
        EnrolmentError: the folder already holds a node.
        RegistryError: the root is none.
    """
    if (folder / "node.yaml").exists():
        raise EnrolmentError(f"{folder} already holds a node; its keys are not overwritten")
    signing, sealing = SigningKey.generate(), SealingKey.generate()
    keys: dict[str, SigningKey | SealingKey] = {"signing": signing, "sealing": sealing}
    for use, key in keys.items():
        place = folder / "keys" / f"{use}.pem"
        key.write(KeyFile(place, identity.federation, f"{identity.node_id}/{use}"), wrapper)
    config: dict[str, object] = {
        "node_id": identity.node_id,
        "federation": identity.federation,
        "organisation": identity.organisation,
        "signing_key": "keys/signing.pem",
        "sealing_key": "keys/sealing.pem",
        "coordinator_public_key": identity.coordinator_public_key,
        "agreement_sha256": agreement.digest(),
        "exposure_file": "exposure.json",
    }
    if identity.registry_root is not None:
        from synnq_assets.trust.registry.client import RegistryClient

        RegistryClient.pin(folder / "registry", identity.registry_root)
        config["registry"] = "registry"
    if parallelism is not None:
        config["parallelism"] = parallelism.model_dump()
    write_atomically(folder / "node.yaml", yaml.safe_dump(config, sort_keys=False).encode())
    application = NodeApplication(
        node_id=identity.node_id,
        organisation=identity.organisation,
        signing_public_key=signing.public_key,
        sealing_public_key=sealing.public_key,
        profile=profile,
        agreement=agreement,
    )
    return sign_record(application, signing)


def sign_profile(folder: Path, profile: NodeProfile) -> bytes:
    """Return a node's newer profile, signed with the key in its folder; runs on the node.

    Raises:
        SettingsError: the folder holds no node.
        EnrolmentError: the profile is another node's.
    """
    settings = load_node_settings(folder / "node.yaml")
    if profile.node_id != settings.node_id:
        raise EnrolmentError(f"{folder} is node {settings.node_id}, not {profile.node_id}")
    return sign_record(profile, SigningKey.read(node_key_file(settings, "signing")))


def request_rotation(folder: Path, *, wrapper: KeyWrapper | None = None) -> bytes:
    """Create a node's next keys beside the present ones; return the signed request to take them.

    Until `activate_rotation`, nothing else changes. Asked again, it signs for the same keys.

    Args:
        folder: of the node.
        wrapper: protects the new keys; without it they are plain files.

    Raises:
        SettingsError: the folder holds no node.
    """
    settings = load_node_settings(folder / "node.yaml")
    pending = _find_pending(folder) or _next_folder(folder)
    next_settings = settings.model_copy(
        update={f"{use}_key": pending / f"{use}.pem" for use in ("signing", "sealing")}
    )
    signing = _take_key(node_key_file(next_settings, "signing"), SigningKey, wrapper)
    sealing = _take_key(node_key_file(next_settings, "sealing"), SealingKey, wrapper)
    present = SigningKey.read(node_key_file(settings, "signing"))
    rotation = KeyRotation(
        node_id=settings.node_id,
        old_signing_public_key=present.public_key,
        signing_public_key=signing.public_key,
        sealing_public_key=sealing.public_key,
        requested_at=now_at(),
    )
    return sign_record(rotation, present, signing)


def _take_key(file: KeyFile, kind: type[K], wrapper: KeyWrapper | None) -> K:
    if not file.path.exists():
        kind.generate().write(file, wrapper)
    return kind.read(file)


def activate_rotation(folder: Path) -> None:
    """Let a node use its next keys from now on: `node.yaml` names them.

    The sealing key until now stays readable, for orders that were wrapped to it.

    Raises:
        SettingsError: the folder holds no node.
        EnrolmentError: no rotation was requested.
    """
    settings, path = load_node_settings(folder / "node.yaml"), folder / "node.yaml"
    pending = _find_pending(folder)
    if pending is None:
        raise EnrolmentError(f"{folder} has no next keys; see `synnq nodes rotate-key`")
    place = pending.relative_to(folder)
    lines = [
        line
        for line in path.read_text(encoding="utf-8").splitlines()
        if not re.match(r"(signing_key|sealing_key|previous_sealing_key)\s*:", line)
    ]
    lines += [
        f"signing_key: {place}/signing.pem",
        f"sealing_key: {place}/sealing.pem",
        f"previous_sealing_key: {settings.sealing_key.resolve()}",
    ]
    write_atomically(path, "\n".join([*lines, ""]).encode())


def _list_generations(folder: Path) -> list[int]:
    """Return the numbers of the key folders; the first keys lie in `keys/` itself."""
    return sorted(int(p.name) for p in (folder / "keys").glob("[0-9]*") if p.name.isdigit())


def _next_folder(folder: Path) -> Path:
    return folder / "keys" / str(max(_list_generations(folder), default=1) + 1)


def _find_pending(folder: Path) -> Path | None:
    """Return the folder of keys that `node.yaml` does not name yet."""
    used = load_node_settings(folder / "node.yaml").signing_key.resolve().parent
    for number in reversed(_list_generations(folder)):
        place = folder / "keys" / str(number)
        return None if place.resolve() == used else place
    return None
