"""What the tests do with Kafka through the pipeline's own clients."""

from collections.abc import Mapping
from typing import Any

from pipeline.kafka.ledger import Partition
from pipeline.kafka.source import Source
from pipeline.settings import Settings, load_settings
from pipeline.telemetry.metrics import Telemetry
from tests.unconcerned import Unconcerned

__all__ = ["read_values", "settings_for"]


def settings_for(kafka: Mapping[str, Any], name: str) -> Settings:
    """Topic, group and prefix of one name."""
    return load_settings(
        overrides={
            "kafka": {**kafka, "topics": [f"{name}.logs"], "group_id": name},
            "index": {"prefix": name},
            "elasticsearch": {"hosts": ["http://127.0.0.1:1"]},
        }
    )


async def read_values(settings: Settings, count: int) -> list[bytes | None]:
    """Join the group, read and commit."""

    source = Source(settings.kafka, Unconcerned(), Telemetry())
    await source.start()
    values: list[bytes | None] = []
    try:
        for _ in range(100):
            for batch in await source.poll(0.2):
                values += [record.value for record in batch.records]
                assert await source.commit({batch.partition: batch.records[-1].offset + 1})
            if len(values) >= count:
                break
        assert list(source.positions()) == [Partition(settings.kafka.topics[0], 0)]
        return values
    finally:
        await source.stop()
