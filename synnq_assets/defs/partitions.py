"""Partitions. The node dimension is called `site`, so that keys read `r0007|lumi-g-03`."""

import dagster as dg

sources = dg.DynamicPartitionsDefinition(name="source")
cells = dg.DynamicPartitionsDefinition(name="cell")
rounds = dg.DynamicPartitionsDefinition(name="round")
sites = dg.DynamicPartitionsDefinition(name="site")
round_site = dg.MultiPartitionsDefinition({"round": rounds, "site": sites})
BY_ROUND = dg.MultiToSingleDimensionPartitionMapping("round")


def split_round_site(key: str) -> tuple[str, str]:
    """Return (round key, node id) of a partition key such as `r0007|lumi-g-03`."""
    round_key, _, node_id = key.partition("|")
    return round_key, node_id
