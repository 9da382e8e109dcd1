"""aiokafka's own log lines, each kind no more often than every ten seconds: it tells of every attempt."""

import logging
import time

__all__ = ["LogRateLimit"]

_SECONDS = 10.0


class LogRateLimit(logging.Filter):
    """Let a message through once in ten seconds, whatever is filled in; DEBUG is not held back."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is to be written; there are as many kinds as there are calls in the library."""
        if record.levelno <= logging.DEBUG:
            return True
        now = time.monotonic()
        if now - self._told.get(str(record.msg), -_SECONDS) < _SECONDS:
            return False
        self._told[str(record.msg)] = now
        return True


for _name in (
    "aiokafka",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
):
    logging.getLogger(_name).addFilter(LogRateLimit())
