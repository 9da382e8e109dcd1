"""aiokafka's own lines: folded into ours, or once a minute."""

import logging

import pytest
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
)

from pipeline.kafka.client_log import AiokafkaLines


def line(message: str, *values: object, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord("aiokafka", level, "f.py", 1, message, values, None)


@pytest.mark.parametrize(
    "told",
    [
        line("Unable connect to node with id %s: %s", 1, ConnectionRefusedError("no")),
        line("Failed fetch messages from %s: %s", 1, KafkaConnectionError("gone")),
        line("Heartbeat send request failed: %s. Will retry.", RequestTimedOutError()),
        line("Heartbeat session expired - marking coordinator dead"),
        line("Marking the coordinator dead (node %s)for group %s.", 1, "g", level=logging.WARNING),
        line("Unable to update metadata from %s", [1]),
    ],
    ids=lambda told: told.msg,
)
def test_what_says_that_a_broker_is_away_is_told_by_services_in_their_own_words(
    told: logging.LogRecord,
) -> None:
    lines = AiokafkaLines()
    assert lines.filter(told)
    lines = AiokafkaLines()
    lines.folded = True
    assert not lines.filter(told)


def test_other_lines_are_told_once_a_minute() -> None:
    now = 0.0
    lines = AiokafkaLines(lambda: now)
    lines.folded = True
    refused = line("Failed fetch messages from %s: %s", 1, TopicAuthorizationFailedError("t"))
    assert [lines.filter(refused), lines.filter(refused)] == [True, False]
    now = 60.0
    assert lines.filter(refused)


def test_a_new_clusters_first_answer_is_not_told() -> None:
    assert not AiokafkaLines().filter(
        line("Group Coordinator Request failed: %s", GroupCoordinatorNotAvailableError())
    )


def test_debug_holds_nothing_back() -> None:
    lines = AiokafkaLines()
    lines.folded = True
    assert all(
        lines.filter(line("to %s: %s", 1, KafkaConnectionError(), level=logging.DEBUG)) for _ in range(3)
    )
