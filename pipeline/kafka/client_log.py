"""aiokafka's own log lines: it tells of every attempt with every broker, several times a second.

- What says that a broker is away, or that a group rebalances, is not written where a service says so itself
  (`fold_outages`): once when it begins and once when it is over, see `pipeline/telemetry/troubles.py`.
- Each other kind of line is written once a minute, whatever is filled in.

Importing this module has it so.
"""

import logging
import time
from collections.abc import Callable

from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

__all__ = ["AiokafkaLines", "fold_outages"]

_SECONDS = 60.0
_NAMES = (
    "aiokafka",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
)
# What follows from a lost connection, or from a rebalance, as aiokafka words it; lines with an error that it retries
# need no words.
_FOLLOWS = (
    "Heartbeat session expired",
    "Marking the coordinator dead",
    "Unable to update metadata from",
    "Heartbeat failed for group %s: coordinator",
    "Heartbeat failed for group %s because it is rebalancing",
)


class AiokafkaLines(logging.Filter):
    """Let a kind of line through once a minute, and none that says what is told elsewhere; DEBUG is not held back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: dict[str, float] = {}
        self.folded = False
        """Whether what says that a broker is away is told elsewhere."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is to be written; there are as many kinds as there are calls in the library."""
        if record.levelno <= logging.DEBUG:
            return True
        arguments = record.args if isinstance(record.args, tuple) else ()
        # A new cluster makes the topic of the groups' offsets on the first request; aiokafka asks again by itself.
        if any(isinstance(each, GroupCoordinatorNotAvailableError) for each in arguments):
            return False
        kind = str(record.msg)
        if self.folded and (kind.startswith(_FOLLOWS) or any(map(_passes, arguments))):
            return False
        now = self._clock()
        if now - self._told.get(kind, -_SECONDS) < _SECONDS:
            return False
        self._told[kind] = now
        return True


def _passes(argument: object) -> bool:
    """Tell whether this is an error of a connection, or one that aiokafka retries."""
    return isinstance(argument, OSError) or (isinstance(argument, KafkaError) and bool(argument.retriable))


_LINES = AiokafkaLines()
for _name in _NAMES:
    logging.getLogger(_name).addFilter(_LINES)


def fold_outages() -> None:
    """Leave out from now on what says that a broker is away: this process says so itself."""
    _LINES.folded = True
