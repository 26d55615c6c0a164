"""What a node may ask for: its own open orders, and the files that a job folder is made of.

Names are those of the job folder (records/orders.py); a file is found by its whole name in the
order's own list, so no path is ever built from a request.
"""

from pathlib import Path

from synnq_assets.errors import RecordError
from synnq_assets.gateway.refusals import RefusalError
from synnq_assets.records.base import canonical_json
from synnq_assets.records.identifiers import parse_assignment_id
from synnq_assets.records.orders import Order
from synnq_assets.trust.campaign import assignment_key, sealed_key
from synnq_assets.trust.home import Home

ORDER_FILE, RECIPE_FILE = "order.json", "recipe.json"


def get_own_order(home: Home, assignment_id: str, node_id: str) -> Order:
    """Return an order to this node, open or not.

    Raises:
        RefusalError: no assignment id, another node's (whether it exists or not), or no such order.
    """
    try:
        addressee = parse_assignment_id(assignment_id)[1]
    except RecordError as error:
        raise RefusalError(404, "no_such_order", "this is not an assignment id") from error
    if addressee != node_id:
        raise RefusalError(403, "foreign_assignment", "this order is not addressed to you")
    if not home.campaign.has_order(assignment_id):
        raise RefusalError(404, "no_such_order", "there is no such order")
    order = home.campaign.get_order(assignment_id)
    if order.node_id != node_id:
        raise RefusalError(403, "foreign_assignment", "this order is not addressed to you")
    return order


def get_open_order(home: Home, assignment_id: str, node_id: str) -> Order:
    """Return an order to this node that may still bring a submission.

    Raises:
        RefusalError: as `get_own_order`, or it was judged or handed on.
    """
    order = get_own_order(home, assignment_id, node_id)
    if not home.campaign.is_open(assignment_id):
        raise RefusalError(
            409, "order_closed", "this order was judged, or its shards were handed on"
        )
    return order


def list_open_orders(home: Home, node_id: str) -> list[Order]:
    """Return a node's open orders of the rounds whose submissions can still count."""
    newest = home.campaign.list_rounds()[-1 - home.settings.recipe.rounds.max_staleness_rounds :]
    return [
        order
        for round_key in newest
        for order in home.campaign.list_orders(round_key)
        if order.node_id == node_id and home.campaign.is_open(order.assignment_id)
    ]


def read_envelope(home: Home, assignment_id: str) -> bytes:
    """Return an order as it was signed."""
    return home.store.get_bytes(assignment_key(assignment_id, "orders"))


def render_recipe(home: Home) -> bytes:
    """Return the recipe whose digest is in every order."""
    return canonical_json(home.settings.recipe.model_dump(mode="json"))


def list_files(home: Home, order: Order) -> dict[str, Path]:
    """Return where each file of an order's job folder lies, the recipe aside."""
    store, checkpoint = home.store, f"checkpoints/{order.base.checkpoint_sha256}"
    keys = {ORDER_FILE: assignment_key(order.assignment_id, "orders")}
    keys |= {f"inputs/checkpoint/{file.name}": f"{checkpoint}/{file.name}"
             for file in order.base.files}  # fmt: skip
    keys |= {
        f"inputs/shards/{shard.shard_id}.sealed": sealed_key(order.assignment_id, shard.shard_id)
        for shard in order.shards
    }
    return {name: store.local_path(key) for name, key in keys.items() if store.has(key)}
