"""The exceptions of this package, as a tree that can be caught at the right height.

LogpipeError
├── SettingsError        a setting is wrong; the message names it and what is allowed
│   └── FencedInstanceId another worker has the same kafka.group_instance_id
├── LogstashError        a Logstash configuration cannot be run as it stands; the message names file, line and column
├── ProbeFailed          a synthetic event did not arrive in time or as it was sent
├── ServerUnavailable    Kafka, Elasticsearch or Kibana did not answer as hoped; trying again may help
├── ServerRefused        Kafka, Elasticsearch or Kibana understood and said no; trying again will not help
│   └── TopicMissing     a topic that is needed does not exist
└── SandboxError         the local servers could not be fetched, started or stopped
"""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "FencedInstanceId",
    "LogpipeError",
    "LogstashError",
    "ProbeFailed",
    "SandboxError",
    "ServerRefused",
    "ServerUnavailable",
    "SettingsError",
    "TopicMissing",
    "out_of_groups",
]


class LogpipeError(Exception):
    """Root of everything this package raises on purpose; the text says what happened and what to do."""

    exit_code = 1


class SettingsError(LogpipeError):
    """Say which setting is wrong, what it was, and what is allowed."""

    exit_code = 2


class FencedInstanceId(SettingsError):  # noqa: N818 - Kafka's name for it
    """Say which id is used twice; the worker that joined last keeps it."""


class LogstashError(LogpipeError):
    """Say where in a Logstash configuration (file, line, column) what cannot be done, and what to do instead."""

    exit_code = 2

    def __init__(
        self, problem: str, *, file: str = "", line: int = 0, column: int = 0, advice: str = ""
    ) -> None:
        place = ":".join(str(part) for part in (file, line, column) if part)
        super().__init__(f"{place + ': ' if place else ''}{problem}{' ' + advice if advice else ''}")
        self.problem = problem
        self.file = file
        self.line = line
        self.column = column
        self.advice = advice


class ProbeFailed(LogpipeError):  # noqa: N818 - reads as a state, which it is
    """Say what the synthetic check has found wrong with the pipeline."""

    exit_code = 2


class ServerUnavailable(LogpipeError):  # noqa: N818 - reads as a state, which it is
    """Say which server could not be reached, and where that is set."""

    exit_code = 3


class ServerRefused(LogpipeError):  # noqa: N818 - reads as a state, which it is
    """Say what the server refused, with the innermost reason it gave."""

    exit_code = 4


class TopicMissing(ServerRefused):
    """Say which topic does not exist, and what creates it."""


class SandboxError(LogpipeError):
    """Say what the sandbox could not do on this machine."""

    exit_code = 5


@contextmanager
def out_of_groups() -> Iterator[None]:
    """Raise the error of ours that is in a group of exceptions: what a task has to say to the user."""
    try:
        yield
    except ExceptionGroup as group:
        said, _ = group.split(LogpipeError)
        if said is None:
            raise
        raise next(_leaves(said)) from group


def _leaves(group: ExceptionGroup[LogpipeError]) -> Iterator[LogpipeError]:
    for each in group.exceptions:
        if isinstance(each, ExceptionGroup):
            yield from _leaves(each)
        else:
            yield each
