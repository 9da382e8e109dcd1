"""Who is told what becomes of the partitions that a source reads: the port that `source.py` calls."""

from collections.abc import Collection
from typing import Protocol

from pipeline.kafka.ledger import Partition

__all__ = ["PartitionOwner"]


class PartitionOwner(Protocol):
    """Whoever delivers, settles and commits."""

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Settle and commit: these partitions are given up when this returns."""

    def assigned(self, partitions: Collection[Partition]) -> None:
        """Begin with these partitions, and no others."""

    def lost(self, partitions: Collection[Partition]) -> None:
        """Forget what has been delivered of these: nothing of it may be committed."""

    def placed(self, partition: Partition, position: int, *, committed: bool) -> None:
        """Note where reading of a partition begins, and whether that has been committed already."""

    def passed_over(self, partition: Partition, position: int) -> None:
        """Have the next commit say that nothing more is to come below this position."""
