"""A document that was rejected for one field → the same document with that field moved aside.

Elasticsearch names one field at a time: a document with several conflicts is salvaged as often, up to
`salvage.max_fields`. This happens in indices that were not made by our template; under ours two documents
cannot conflict.
"""

import re
from typing import Any

import orjson

from pipeline.events.field_names import ASIDE_FIELD, KAFKA_FIELD, set_aside, take_all, take_below

__all__ = ["CONFLICT_TAG", "field_of", "salvage"]

CONFLICT_TAG = "_mappingconflict"

# How Elasticsearch 7.17 to 9.1 and OpenSearch name the field in the reason of a document_parsing_exception and its
# relatives. It begins with the place in the document; further on it may quote the event, which may hold anything. A
# name may hold brackets as well, so that each ends where the sentence goes on.
_FIELD = re.compile(
    r"""(?:\[-?\d+:-?\d+\]\ )?(?:
      failed\ to\ parse\ field\ \[(?P<parse>.+?)\](?=\ of\ type\ \[|:|$)
    | object\ mapping\ for\ \[(?P<object>.+?)\]\ tried\ to\ parse\ field\ \[
    | (?:mapping\ set\ to\ strict,\ )?(?:dynamic\ )?introduction\ of\ \[(?P<strict>.+?)\]
      \ within\ \[(?P<within>.+?)\]\ is\ not
    | mapper\ \[(?P<mapper>.+?)\]\ cannot\ be\ changed\ from\ type
    | [Cc]an't\ merge\ a\ (?:non\ object|non-nested|nested)\ mapping\ \[(?P<merge>.+?)\]
      \ with\ an?\ (?:object|nested|non-nested)\ mapping
    | Could\ not\ dynamically\ add\ mapping\ for\ field\ \[.+?\]\.
      \ Existing\ mapping\ for\ \[(?P<existing>.+?)\]\ must\ be\ of\ type\ object
    | (?:failed\ to\ parse:\ )?Limit\ of\ mapping\ depth\ \[\d+\]\ has\ been\ exceeded
      \ due\ to\ object\ field\ \[(?P<depth>.+?)\](?=:|$)
    | Cannot\ write\ to\ a\ field\ alias\ \[(?P<alias>.+?)\]\.
    | Document\ contains\ at\ least\ one\ immense\ term\ in\ field="(?P<immense>.+?)"\ \(
    | (?:Flattened\ )?[Ff]ield\ \[(?P<field>[^\]]+)\]
    )""",
    re.VERBOSE | re.DOTALL,
)
_ROOT = "_doc"
_AS_TEXT = "as_json"
# Without these a document is not found any more, or its record not by the audit: they are not given up.
_TIME_FIELD = "@timestamp"
_KEPT = frozenset({_TIME_FIELD, KAFKA_FIELD, ASIDE_FIELD})
_PREVIEW = "Preview of field's value: '"
_NO_OBJECT = "Could not dynamically add mapping for field ["


def field_of(reason: str) -> str | None:
    """Read the full path of the field out of the reason, None when it names none."""
    match = _FIELD.match(reason)
    if match is None:
        return None
    if match["strict"] is not None:
        return match["strict"] if match["within"] == _ROOT else f"{match['within']}.{match['strict']}"
    return next(name for name in match.groups() if name is not None)


def salvage(source: bytes, reason: str) -> tuple[bytes, str] | None:
    """Move the field that the reason names to `unmapped.<field>` and add the tag `_mappingconflict`.

    Returns the new source and the field's path. None when no field is named, when it is not in the document,
    so that sending it again would change nothing, or when it is one that the pipeline itself needs.
    """
    path = field_of(reason)
    if path is None:
        return None
    document = orjson.loads(source)
    if path.startswith(f"{ASIDE_FIELD}."):
        return _with_aside_as_text(document)
    moved = _take(document, path, saw_object=_saw_object(reason))
    if not moved:
        return None
    aside = document.setdefault(ASIDE_FIELD, {})
    for name, value in moved:
        set_aside(aside, name, value)
    # Tags that have been refused would be refused again.
    if "tags" not in aside:
        tags = document.setdefault("tags", [])
        if CONFLICT_TAG not in tags:
            tags.append(CONFLICT_TAG)
    elif "tags" in document and CONFLICT_TAG not in document["tags"]:
        document["tags"].append(CONFLICT_TAG)
    return orjson.dumps(document), moved[0][0] if len(moved) == 1 else path


def _with_aside_as_text(document: dict[str, Any]) -> tuple[bytes, str] | None:
    """Make one text of all that was moved aside: without our mapping `unmapped.a` and `unmapped.a.b` conflict too."""
    aside = document.get(ASIDE_FIELD)
    if not aside or _AS_TEXT in aside:
        return None
    document[ASIDE_FIELD] = {_AS_TEXT: orjson.dumps(aside).decode()}
    return orjson.dumps(document), ASIDE_FIELD


def _take(document: dict[str, Any], path: str, *, saw_object: bool) -> list[tuple[str, Any]]:
    """Take out what is in conflict at a path, each with its own path; nothing of what the pipeline needs.

    `host` as a value and `host.name` cannot be in one index. Where the server saw an object, it is what is spelt
    below the path. Where the path is that of a further field of one value, it is the value above.
    """
    kept = path.partition(".")[0] in _KEPT
    if kept and path != _TIME_FIELD:
        return []
    if (saw_object or kept) and (below := take_below(document, path)):
        return below
    if kept:
        return []
    if values := take_all(document, path):
        return [(path, value) for value in values]
    if below := take_below(document, path):
        return below
    above = path.rpartition(".")[0]
    # A multi-field, such as `name.raw` of a text `name`. Objects are no such values, and stay.
    values = take_all(document, above) if above else []
    if any(isinstance(value, dict) for value in values):
        return []
    return [(above, value) for value in values]


def _saw_object(reason: str) -> bool:
    """Tell whether the server complains of an object where it wants a value."""
    _, found, value = reason.partition(_PREVIEW)
    return (bool(found) and value.startswith("{")) or _NO_OBJECT in reason.partition("]")[0]
