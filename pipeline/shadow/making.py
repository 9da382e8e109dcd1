"""Our documents of a record, as they are held against Logstash's: pure."""

from typing import Final, Protocol

import orjson

from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.logstash.configuration import Pipeline
from pipeline.logstash.fields import Event
from pipeline.logstash.plugin import Origin, Outcomes
from pipeline.logstash.trial import plain_document
from pipeline.shadow.comparison import Made
from pipeline.shadow.differences import Written

__all__ = ["BuiltIn", "ByLogstash", "Maker"]

_WRITING: Final = {"index", "create"}


class Maker(Protocol):
    """What makes our documents of a record."""

    not_compared: tuple[str, ...]
    """Fields that only one side has, by design."""

    def make(self, value: bytes | None, origin: Origin, now_ms: int) -> Made:
        """Make them; `now_ms` is the time of reading."""


class BuiltIn:
    """The documents of this pipeline's own steps, as `logpipe transform` shows them."""

    not_compared: tuple[str, ...] = ("@version", "error.fingerprint", "event.original", "kafka")

    def __init__(self, builder: DocumentBuilder) -> None:
        self._builder = builder

    def make(self, value: bytes | None, origin: Origin, now_ms: int) -> Made:
        """Make at least one of any bytes."""
        record = Coordinates(*origin[:4])
        documents = self._builder.documents(value, record, now_ms)
        # Indices are called otherwise here, and ids made otherwise: neither is compared.
        return Made([Written(orjson.loads(document.source)) for document in documents])


class ByLogstash:
    """The documents of a Logstash configuration, as Logstash would send them."""

    not_compared: tuple[str, ...] = ()

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._routes = bool(pipeline.configuration.statements("output"))

    def make(self, value: bytes | None, origin: Origin, now_ms: int) -> Made:  # noqa: ARG002 - now is Kafka's time
        """Make what the filters leave, where the outputs send it."""
        outcomes = Outcomes()
        events = self._pipeline.events(value or b"", origin)
        if not events:
            return Made([], ["an empty record is no event"])
        left, _origins = self._pipeline.filters.run(events, [origin] * len(events), outcomes)
        documents: list[Written] = []
        dropped = [step for _origin, step in outcomes.dropped]
        dead: list[str] = []
        for event in left:
            self._route(event, origin, outcomes, documents, dropped, dead)
        return Made(documents, dropped, dead)

    def _route(
        self,
        event: Event,
        origin: Origin,
        outcomes: Outcomes,
        documents: list[Written],
        dropped: list[str],
        dead: list[str],
    ) -> None:
        if not self._routes:
            documents.append(_plain(event))
            return
        actions = self._pipeline.outputs.route(event, origin, outcomes)
        if not actions:
            dropped.append("no output takes it")
        for action in actions:
            if action.problem is not None:
                dead.append(action.problem)
            elif action.action in _WRITING:
                documents.append(_plain(action.document, action.index, action.id))
            else:
                dropped.append(f"{action.action}: no document of its own")


def _plain(event: Event, index: str | None = None, identifier: str | None = None) -> Written:
    document = {name: value for name, value in event.items() if name != "@metadata"}
    return Written(plain_document(document), index, identifier)
