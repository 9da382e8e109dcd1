"""Which of the cluster's topics are read."""

import re
from collections.abc import Iterable

from pipeline.settings import Kafka, is_own_topic

__all__ = ["TopicPattern", "chosen_topics"]


_KAFKAS_OWN = "__"
"""How Kafka's internal topics begin, such as `__consumer_offsets`; its list of topics has them too."""


class TopicPattern:
    """`kafka.topic_pattern` without the pipeline's own topics and Kafka's; stands in for a compiled expression."""

    def __init__(self, pattern: str) -> None:
        self._expression = re.compile(pattern)

    def match(self, topic: str) -> bool:
        """Tell whether a topic is meant: it begins as the expression says, and holds what applications log."""
        if topic.startswith(_KAFKAS_OWN) or is_own_topic(topic):
            return False
        return self._expression.match(topic) is not None


def chosen_topics(kafka: Kafka, existing: Iterable[str]) -> list[str]:
    """Give the topics to be read of those that exist."""
    if kafka.topic_pattern is None:
        there = frozenset(existing)
        return [topic for topic in kafka.topics if topic in there]
    pattern = TopicPattern(kafka.topic_pattern)
    return sorted(topic for topic in existing if pattern.match(topic))
