"""A topic for logs and one for trace events of a test's own."""

from collections.abc import AsyncIterator

import pytest

from pipeline.install.topics import TopicSpec, create_topics
from pipeline.kafka.trace_events import trace_events_topic
from pipeline.sandbox import Servers
from tests.own_pipeline import Pipeline, own_pipeline

__all__ = ["QUICK"]

QUICK = {
    "LOGPIPE_TRACES__ENABLED": "true",
    "LOGPIPE_TRACES__IDLE_SECONDS": "2",
    "LOGPIPE_TRACES__SHOW_OPEN_SECONDS": "4",
}


@pytest.fixture
async def traced(servers: Servers) -> AsyncIterator[Pipeline]:
    async with own_pipeline(servers) as one:
        topic = trace_events_topic(one.settings)
        await create_topics(one.settings.kafka, [TopicSpec(topic, 4, 1, {})])
        yield one
