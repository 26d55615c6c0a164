"""At the node: destroy the shards of its job folders, and sign that it was done.

What goes: the sealed shards and the payload's own checkpoints. What stays: the order, the answer,
and the list of shards that this node ever opened. The bytes are overwritten first; a medium that
writes elsewhere (SSD, copy on write, snapshots) keeps them all the same, and so do backups.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synnq_assets.errors import FederationError, RecordError, StorageError, TrustError
from synnq_assets.records.base import now_at
from synnq_assets.records.destruction import DestructionCertificate
from synnq_assets.records.jobs import Progress
from synnq_assets.records.orders import Order
from synnq_assets.settings import NodeSettings, load_node_settings
from synnq_assets.storage.files import overwrite_content
from synnq_assets.trust.envelopes import peek_record, sign_record
from synnq_assets.trust.keyfiles import node_key_file
from synnq_assets.trust.keys import SigningKey

DESTROYED_FOLDERS = ("inputs/shards", "work")


@dataclass(frozen=True)
class Destruction:
    """What was destroyed, and what was left alone."""

    envelope: bytes  # the signed certificate
    assignment_ids: tuple[str, ...]
    unfinished: tuple[str, ...]  # jobs that were not asked for by name and did not end


def destroy_shards(folder: Path, jobs: Path, assignment_ids: Sequence[str] = ()) -> Destruction:
    """Destroy shards on the node's own machine; return the certificate, signed with its key.

    A job folder from which everything is gone already is certified as well: a second run after a
    kill comes to the same end.

    Args:
        folder: of the node.
        jobs: holds its job folders, each with the order that it was staged for.
        assignment_ids: which orders; without any, all whose jobs ended.

    Raises:
        SettingsError: `folder` holds no node.
        FederationError: there is nothing to destroy, or a named order has no job folder here.
        StorageError: something cannot be removed; nothing is certified.
    """
    settings = load_node_settings(folder / "node.yaml")
    found = _find_orders(jobs, settings)
    if missing := sorted(set(assignment_ids) - set(found)):
        raise FederationError(
            f"{jobs} has no job folder of {', '.join(missing)}; where it was removed by hand, put "
            "the order's order.json into a folder there"
        )
    ended = {name for name, (job, _) in found.items() if _has_ended(job)}
    chosen = sorted(assignment_ids or ended)
    if not chosen:
        raise FederationError(f"{jobs} has no job of {settings.node_id} that ended")
    for assignment_id in chosen:
        for name in DESTROYED_FOLDERS:
            _destroy_folder(found[assignment_id][0] / name)
    orders = [found[assignment_id][1] for assignment_id in chosen]
    certificate = DestructionCertificate(
        federation=settings.federation,
        node_id=settings.node_id,
        agreement_sha256=settings.agreement_sha256,
        assignment_ids=tuple(chosen),
        shard_ids=tuple(sorted({shard.shard_id for order in orders for shard in order.shards})),
        method="overwritten-and-removed",
        destroyed_at=now_at(),
    )
    signing = SigningKey.read(node_key_file(settings, "signing"))
    unfinished = () if assignment_ids else tuple(sorted(set(found) - ended))
    return Destruction(sign_record(certificate, signing), tuple(chosen), unfinished)


def _find_orders(jobs: Path, settings: NodeSettings) -> dict[str, tuple[Path, Order]]:
    """Return assignment id -> (job folder, order) of this node's own orders.

    Signatures are not verified: the coordinator compares the certificate with what it issued.
    """
    found = {}
    for path in sorted(jobs.glob("*/order.json")):
        try:
            order = peek_record(path.read_bytes(), Order)
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from error
        except (RecordError, TrustError) as error:
            raise FederationError(f"{path} is no order: {error}") from error
        if (order.federation, order.node_id) == (settings.federation, settings.node_id):
            found[order.assignment_id] = (path.parent, order)
    return found


def _has_ended(job: Path) -> bool:
    try:
        return Progress.parse((job / "progress.json").read_bytes()).phase in ("done", "failed")
    except (OSError, RecordError):
        return False


def _destroy_folder(folder: Path) -> None:
    """Overwrite and remove what a folder holds. Links are removed, never followed."""
    try:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                path.chmod(0o600)
                with path.open("r+b") as file:
                    overwrite_content(file)
        for entry in [*folder.iterdir()] if folder.is_dir() else []:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    except OSError as error:
        raise StorageError(f"cannot destroy what {folder} holds: {error}") from error
