"""A key goes to the partition to which every other Kafka client sends it."""

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given, strategies as st

from pipeline.kafka.key_partition import key_partition


@given(st.binary(max_size=70), st.lists(st.integers(0, 1000), min_size=1, unique=True))
def test_it_is_the_partition_of_the_default_partitioner(key: bytes, partitions: list[int]) -> None:
    assert key_partition(key, partitions, []) == DefaultPartitioner()(key, partitions, [])
