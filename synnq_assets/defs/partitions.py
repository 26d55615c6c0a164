"""Partitions. The node dimension is called `site`, so that keys read `r0007|lumi-g-03`.

Dagster takes any text for a key, the empty one and those that it could not read back included. So
keys pass `verify_partition_keys` before they are added.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg
from pydantic import TypeAdapter, ValidationError

from synnq_assets.errors import RecordError
from synnq_assets.records.identifiers import CellKey, NodeId, RoundKey, SourceName

sources = dg.DynamicPartitionsDefinition(name="source")
cells = dg.DynamicPartitionsDefinition(name="cell")
rounds = dg.DynamicPartitionsDefinition(name="round")
sites = dg.DynamicPartitionsDefinition(name="site")
round_site = dg.MultiPartitionsDefinition({"round": rounds, "site": sites})
BY_ROUND = dg.MultiToSingleDimensionPartitionMapping("round")

_KEYS: dict[str, TypeAdapter[Any]] = {
    "source": TypeAdapter(SourceName),
    "cell": TypeAdapter(CellKey),
    "round": TypeAdapter(RoundKey),
    "site": TypeAdapter(NodeId),
}


def verify_partition_keys(dimension: str, keys: Sequence[str]) -> list[str]:
    """Return keys that may be added to a dimension.

    Raises:
        RecordError: one of them is no id of its kind; none may be added.
    """
    for key in keys:
        try:
            _KEYS[dimension].validate_python(key)
        except ValidationError as error:
            raise RecordError(f"{key[:60]!r} is no partition of dimension {dimension}") from error
    return list(keys)


def split_round_site(key: str) -> tuple[str, str]:
    """Return (round key, node id) of a partition key such as `r0007|lumi-g-03`."""
    round_key, _, node_id = key.partition("|")
    return round_key, node_id
