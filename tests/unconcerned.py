"""An owner of partitions whom nothing concerns, for tests that only read."""

from typing import Any

from pipeline.kafka.ledger import Partition

__all__ = ["Unconcerned"]


class Unconcerned:
    """Whom nothing concerns."""

    async def revoked(self, partitions: Any) -> None: ...

    def assigned(self, partitions: Any) -> None: ...

    def lost(self, partitions: Any) -> None: ...

    def placed(self, partition: Partition, position: int, *, committed: bool) -> None: ...

    def passed_over(self, partition: Partition, position: int) -> None: ...
