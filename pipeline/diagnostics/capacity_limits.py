"""Where a plan stops holding: limits of groups, shards and clusters, each with what to do about it."""

from collections.abc import Mapping

__all__ = [
    "LARGEST_GROUP",
    "LARGEST_SHARD_BYTES",
    "MOST_CLUSTER_SHARDS",
    "MOST_INDEX_SHARDS",
    "MOST_SHARD_DOCUMENTS",
    "limits_met",
]

LARGEST_GROUP = 512
"""Workers of one group up to which benchmarks/scale.py has it within its bounds; see docs/scaling.md."""
MOST_INDEX_SHARDS = 1024
"""Elasticsearch's limit for one index, `es.index.max_number_of_shards`."""
MOST_CLUSTER_SHARDS = 50_000
"""Up to which one cluster is taken to be manageable: its master keeps the state of each shard."""
LARGEST_SHARD_BYTES = 50_000_000_000
"""Elasticsearch's documentation, "Size your shards": 10 to 50 GB."""
MOST_SHARD_DOCUMENTS = 200_000_000
"""From the same page."""
_MOST_BROKER_PARTITIONS = 4000
"""Advice of Kafka's makers; partitions of all topics and replicas count."""


def limits_met(
    *,
    partitions: int,
    workers: int,
    shards: int,
    all_shards: int,
    shard_bytes: float,
    shard_documents: float,
    data_nodes: int,
    nodes_needed: Mapping[str, int],
    shards_per_node: int,
    days: int,
    deletes_after: float | None,
) -> tuple[str, ...]:
    """Say which limits these figures are above, a sentence each."""
    said = []
    if workers > LARGEST_GROUP:
        groups = -(-workers // LARGEST_GROUP)
        said.append(
            f"{workers:,} workers are more than one group should have ({LARGEST_GROUP}): split the traffic over "
            f"{groups} topics with a group each, and set kafka.group_instance_id"
        )
    if shards > MOST_INDEX_SHARDS:
        pipelines = -(-shards // MOST_INDEX_SHARDS)
        said.append(
            f"{shards:,} shards a day are more than Elasticsearch takes in one index ({MOST_INDEX_SHARDS:,}): split "
            f"the traffic over {pipelines} topics, each with an index.prefix of its own"
        )
    if all_shards > MOST_CLUSTER_SHARDS:
        clusters = -(-all_shards // MOST_CLUSTER_SHARDS)
        said.append(
            f"{all_shards:,} shards of all days are more than one cluster manages well ({MOST_CLUSTER_SHARDS:,}): "
            f"keep fewer days, or use {clusters} clusters"
        )
    if all_shards > data_nodes * shards_per_node:
        said.append(
            f"{all_shards:,} shards of all days are more than {data_nodes:,} data nodes may hold "
            f"({data_nodes * shards_per_node:,}, cluster.max_shards_per_node = {shards_per_node:,}): after some days "
            f"no index of a new day is made. {nodes_needed['shards']:,} nodes hold them"
        )
    said += [
        f"{data_nodes:,} data nodes are too few by {why}: {needed:,} are needed"
        for why, needed in nodes_needed.items()
        if why != "shards" and needed > data_nodes
    ]
    if shard_bytes > LARGEST_SHARD_BYTES or shard_documents > MOST_SHARD_DOCUMENTS:
        said.append(
            f"a shard gets {shard_bytes / 1e9:,.0f} GB and {shard_documents / 1e6:,.0f} million documents a day: "
            "Elasticsearch's documentation advises 50 GB and 200 million at most. Set more shards"
        )
    if deletes_after is not None and days > deletes_after:
        said.append(
            f"the shipped policy deletes an index after {deletes_after:g} days: to keep it for {days}, change "
            "ilm/claude-code-bot-policy.json"
        )
    if partitions > _MOST_BROKER_PARTITIONS:
        said.append(
            f"{partitions:,} partitions are more than a broker should lead ({_MOST_BROKER_PARTITIONS:,}): spread them"
        )
    return tuple(said)
