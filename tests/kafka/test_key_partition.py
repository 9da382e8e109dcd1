"""A key goes to the partition to which every other Kafka client sends it."""

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given, strategies as st

from pipeline.kafka.key_partition import key_partition


@given(st.lists(st.binary(max_size=70), min_size=1), st.integers(1, 1000))
def test_it_is_the_partition_of_the_default_partitioner(keys: list[bytes], partitions: int) -> None:
    everyone = list(range(partitions))
    assert [key_partition(key, partitions) for key in keys] == [
        DefaultPartitioner()(key, everyone, []) for key in keys
    ]


@given(st.binary(max_size=40), st.lists(st.integers(0, 10**12), min_size=2))
def test_keys_that_begin_alike_are_told_apart(beginning: bytes, numbers: list[int]) -> None:
    for number in numbers:
        key = beginning + b"-%d" % number
        assert key_partition(key, 997) == DefaultPartitioner()(key, list(range(997)), [])
