"""Documents → the lines of a bulk request: an action and a source each."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from pipeline.encode.line_templates import action_line
from pipeline.events.document import Document

__all__ = ["Alone", "Lines", "Unreadable", "bulk_lines"]

# Of an update that others get in the way of, within Elasticsearch itself.
_RETRIES = 3


class Alone(NamedTuple):
    """Documents of one record, whose ids do not say so."""

    offset: int
    documents: int
    body: bytes


class Unreadable(NamedTuple):
    """An event that Elasticsearch is not asked about: nothing of it can be read, or filters send it nowhere."""

    action: bytes
    """The action line that its document would have, which names the record."""
    reason: str
    error_type: str = ""
    """Empty where nothing can be read."""


class Lines:
    """The documents of one record, sorted by what is done with them; `documents` are those that are sent."""

    __slots__ = ("alone", "body", "dead", "documents", "number")

    def __init__(self, documents: list[Document], offset: int) -> None:
        self.documents = documents
        self.alone: Alone | None = None
        self.dead: Sequence[Unreadable] = ()
        usual = documents
        if any(map(_is_unusual, documents)):
            self.documents = [one for one in documents if not (one.unreadable or one.refused)]
            self.dead = [_dead(one) for one in documents if one.unreadable or one.refused]
            usual = [one for one in self.documents if one.target is None or not one.target.own_id]
            if own := [one for one in self.documents if one.target is not None and one.target.own_id]:
                self.alone = Alone(offset, len(own), b"".join(bulk_lines(own)))
        self.number = len(usual)
        self.body = b"".join(bulk_lines(usual))


def _is_unusual(document: Document) -> bool:
    return bool(document.unreadable) or document.target is not None or document.refused is not None


def _dead(document: Document) -> Unreadable:
    error_type, reason = document.refused or ("", document.unreadable)
    return Unreadable(_action("create", {}, document), reason, error_type)


def bulk_lines(documents: Iterable[Document]) -> list[bytes]:
    """Write documents as the lines of a bulk request: action and source, each ending in a newline."""
    return [line for document in documents for line in _lines(document)]


def _action(operation: str, parameters: dict[str, Any], document: Document) -> bytes:
    """Write an action line; index and id are at its end, where the writer looks for them."""
    place = {**parameters, "_index": document.index_name, "_id": document.id}
    return orjson.dumps({operation: place}, option=orjson.OPT_APPEND_NEWLINE)


def _lines(document: Document) -> tuple[bytes, bytes]:
    target = document.target
    if target is None:
        return action_line(document.index_name, document.id, document.routing), document.source + b"\n"
    place: dict[str, Any] = {}
    # An update goes through none.
    if target.pipeline is not None and target.action in {"index", "create"}:
        place["pipeline"] = target.pipeline
    routing = document.routing if target.routing is None else target.routing
    if routing or target.routing is not None:
        place["routing"] = routing
    if target.action == "update":
        place["retry_on_conflict"] = _RETRIES
    action = _action(target.action, place, document)
    if target.action == "delete":
        # An empty line, which Elasticsearch passes over: there are two of every document.
        return action, b"\n"
    if target.action != "update":
        return action, document.source + b"\n"
    change: dict[str, Any] = {"doc": orjson.Fragment(document.source)}
    if target.doc_as_upsert:
        change["doc_as_upsert"] = True
    if target.upsert is not None:
        change["upsert"] = orjson.loads(target.upsert)
    return action, orjson.dumps(change, option=orjson.OPT_APPEND_NEWLINE)
