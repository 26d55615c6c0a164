"""Which order a round x site run is about: a node may have several in one round."""

from synnq_assets.defs.partitions import split_round_site
from synnq_assets.errors import OrderError
from synnq_assets.records.orders import Order
from synnq_assets.trust import Home


def find_assignment(opened: Home, partition_key: str, tagged: str | None) -> Order:
    """Return the order that a round x site run is about: the tagged one, or the node's newest."""
    round_key, node_id = split_round_site(partition_key)
    orders = [o for o in opened.campaign.list_orders(round_key) if o.node_id == node_id]
    for order in orders:
        if order.assignment_id == tagged:
            return order
    if tagged is not None or not orders:
        raise OrderError(f"{node_id} has no order {tagged or ''} in {round_key}")
    return orders[-1]
