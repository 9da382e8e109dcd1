"""Our documents of a record, as they are held against Logstash's: pure."""

import json
from typing import Final, Protocol

from pipeline.encode.filtering import Filtering
from pipeline.encode.run_filters import filtering_of
from pipeline.events.document import Coordinates, Document, DocumentBuilder
from pipeline.logstash.plugin import Origin
from pipeline.settings import Settings
from pipeline.shadow.comparison import Made
from pipeline.shadow.differences import Written

__all__ = ["BuiltIn", "ByFilters", "Maker", "maker_of"]

_WRITING: Final = {"index", "create"}
_OURS_ALONE: Final = ("@version", "error.fingerprint", "event.original", "kafka")


class Maker(Protocol):
    """What makes our documents of a record."""

    not_compared: tuple[str, ...]
    """Fields that only one side has, by design."""

    def make(self, value: bytes | None, origin: Origin, now_ms: int) -> Made:
        """Make them; `now_ms` is the time of reading."""


def maker_of(settings: Settings) -> Maker:
    """Give what makes documents as a worker with these settings does; raises LogstashError."""
    builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
    filtering = filtering_of(settings, builder)
    return (
        BuiltIn(builder) if filtering is None else ByFilters(filtering, normalise=settings.events.normalise)
    )


class BuiltIn:
    """The documents of this pipeline's own steps, as `logpipe transform` shows them."""

    not_compared: tuple[str, ...] = _OURS_ALONE

    def __init__(self, builder: DocumentBuilder) -> None:
        self._builder = builder

    def make(self, value: bytes | None, origin: Origin, now_ms: int) -> Made:
        """Make at least one of any bytes."""
        documents = self._builder.documents(value, Coordinates(*origin[:4]), now_ms)
        # Indices are called otherwise here, and ids made otherwise: neither is compared.
        return Made([Written(json.loads(document.source)) for document in documents])


class ByFilters:
    """The documents that filters make, with the pipeline's own rules behind them unless these are switched off."""

    def __init__(self, filtering: Filtering, *, normalise: bool) -> None:
        self.not_compared: tuple[str, ...] = _OURS_ALONE if normalise else ()
        self._filtering = filtering
        self._routes = bool(filtering.targets.patterns)

    def make(self, value: bytes | None, origin: Origin, now_ms: int) -> Made:
        """Make what the filters leave, for where the outputs send it."""
        record = Coordinates(*origin[:4])
        documents = self._filtering.documents(value, record, now_ms, origin.key, origin.headers)
        dropped = list(self._filtering.take().dropped.elements())
        writing = [each for each in documents if each.refused is None]
        for each in list(writing):
            if each.target is not None and each.target.action not in _WRITING:
                writing.remove(each)
                dropped.append(f"{each.target.action}: no document of its own")
        return Made(
            [self._written(each) for each in writing],
            dropped,
            [each.refused[1] for each in documents if each.refused is not None],
        )

    def _written(self, document: Document) -> Written:
        own_id = document.target is not None and document.target.own_id
        return Written(
            json.loads(document.source),
            document.index_name if self._routes else None,
            document.id if own_id else None,
        )
