"""Is this order ours to run, and is what came with it what it names?

The node trusts the coordinator's key, as the registry names it (believing.py) or, without one, as
its own settings pinned it. All that decides (recipe, base checkpoint, shards, deadline) is in the
signed order or digested by it.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from synnq_assets.errors import (
    OrderError,
    RecordError,
    SettingsError,
    SignatureError,
    TrainingError,
    TrustError,
)
from synnq_assets.records.base import parse_strict_json, sha256_hex
from synnq_assets.records.orders import Order
from synnq_assets.records.submissions import Submission
from synnq_assets.settings.load import describe_invalid
from synnq_assets.settings.node import NodeSettings
from synnq_assets.settings.recipe import Recipe
from synnq_assets.storage.files import hash_file
from synnq_assets.training.folder import JobFolder
from synnq_assets.trust.envelopes import open_envelope
from synnq_assets.trust.keyring import KeyEntry, Keyring
from synnq_assets.trust.keys import SigningKey, decode_base64

MODEL_FILE = "model.safetensors"


def parse_claimed_assignment(data: bytes) -> str | None:
    """Return the assignment id that an unverified order claims, to address a failure report."""
    try:
        payload = parse_strict_json(decode_base64(parse_strict_json(data)["payload"]))
        claimed = payload["predicate"]["assignment_id"]
    except (RecordError, TrustError, LookupError, TypeError, AttributeError):
        return None
    return claimed if isinstance(claimed, str) else None


def verify_order(data: bytes, node: NodeSettings, coordinator_keys: Sequence[str] = ()) -> Order:
    """Return the order in an envelope if the coordinator signed it for this node.

    Args:
        data: the envelope, as received.
        node: this node's own settings.
        coordinator_keys: as the registry names them; without any, the pinned key counts.

    Raises:
        OrderError: signed by a stranger, damaged, or meant for another federation, node or
            agreement. Do not run it; ask the coordinator for a new one.
        SettingsError: the pinned coordinator key is not a key.
    """
    try:
        keys = coordinator_keys or (node.coordinator_public_key,)
        keyring = Keyring.with_root(node.federation, *keys)
    except TrustError as error:
        raise SettingsError(f"coordinator_public_key in the node's settings: {error}") from error
    try:
        order = open_envelope(
            data, Order, keyring, roles=("coordinator",), identity=node.federation
        )
    except (SignatureError, RecordError) as error:
        raise OrderError(
            f"the order is not signed by the coordinator that this node trusts ({error}); "
            "nothing was opened"
        ) from error
    for what, asked, own in (
        ("federation", order.federation, node.federation),
        ("node", order.node_id, node.node_id),
        ("participation agreement", order.agreement_sha256, node.agreement_sha256),
    ):
        if asked != own:
            raise OrderError(
                f"the order names {what} {asked}, but this is {own}; nothing was opened"
            )
    if not any(file.name == MODEL_FILE for file in order.base.files):
        raise OrderError(f"the order's base checkpoint lists no {MODEL_FILE}")
    return order


def verify_deadline(order: Order, now: datetime) -> None:
    """Refuse an order whose deadline has passed.

    Raises:
        OrderError: it has; the coordinator would no longer count the answer.
    """
    if now >= order.deadline_at:
        raise OrderError(
            f"the deadline of {order.assignment_id} passed at {order.deadline_at.isoformat()}; "
            "ask the coordinator for a new order"
        )


def read_recipe(path: Path, order: Order) -> Recipe:
    """Read the recipe that the order pins.

    Raises:
        OrderError: missing, other bytes than the order's digest names, or not a recipe of this
            version of the payload.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OrderError(f"cannot read {path}: {error.strerror}") from error
    if sha256_hex(data) != order.recipe_sha256:
        raise OrderError(f"{path.name} is not the recipe that the order names; fetch it again")
    try:
        return Recipe.model_validate_json(data)
    except ValidationError as error:
        raise OrderError(
            f"this payload does not understand the recipe: {describe_invalid(path.name, error)}"
        ) from error


def verify_base(folder: JobFolder, order: Order) -> None:
    """Check every file of the base checkpoint by length and SHA-256.

    Raises:
        OrderError: a file is missing, cut or damaged; fetch the inputs again.
    """
    for file in order.base.files:
        path = folder.checkpoint_dir / file.name
        try:
            found = hash_file(path)
        except OSError as error:
            raise OrderError(f"cannot read base file {path}: {error.strerror}") from error
        if found != (file.sha256, file.num_bytes):
            raise OrderError(
                f"base file {file.name} is not the one that the order names "
                f"({found[1]} bytes, {file.num_bytes} expected); fetch the inputs again"
            )


def is_answered(folder: JobFolder, order: Order, signing_key: SigningKey) -> bool:
    """Tell whether the folder already holds this node's complete answer to the order.

    Raises:
        TrainingError: it holds an answer to another order, or one that this node did not sign.
    """
    try:
        data = folder.submission_path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise TrainingError(
            f"cannot read {folder.submission_path}: {error.strerror}; remove what is in its way"
        ) from error
    keyring = Keyring()
    keyring.add(KeyEntry(order.node_id, "node", signing_key.public_key))
    try:
        submission = open_envelope(data, Submission, keyring, roles=("node",))
    except (SignatureError, RecordError) as error:
        raise TrainingError(
            f"{folder.submission_path} is not an answer of this node ({error}); remove it"
        ) from error
    if submission.order_sha256 != order.digest():
        raise TrainingError(
            f"{folder.submission_dir} answers another order; give each order its own folder"
        )
    return True
