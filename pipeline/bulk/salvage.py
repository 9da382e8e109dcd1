"""A document that was rejected for one field → the same document with that field moved aside."""

import re
from typing import Any

import orjson

from pipeline.events.field_names import ASIDE_FIELD, set_aside

__all__ = ["CONFLICT_TAG", "salvage"]

CONFLICT_TAG = "_mappingconflict"

# How Elasticsearch 9.1 names the field in the reason of a document_parsing_exception and its relatives.
_FIELD = re.compile(
    r"failed to parse field \[(?P<parse>[^\]]+)\]"
    r"|object mapping for \[[^\]]*\] tried to parse field \[(?P<object>[^\]]+)\]"
    r"|(?:dynamic )?introduction of \[(?P<strict>[^\]]+)\] within \[(?P<within>[^\]]+)\]"
    r"|[Dd]ocument contains at least one immense term in field=\"(?P<immense>[^\"]+)\""
    r"|[Ff]ield \[(?P<field>[^\]]+)\]"
)


def field_of(reason: str) -> str | None:
    """Read the path of the field out of the reason, None when it names none."""
    match = _FIELD.search(reason)
    if match is None:
        return None
    if match["strict"] is not None:
        return match["strict"] if match["within"] == "_doc" else f"{match['within']}.{match['strict']}"
    return next(name for name in match.groups() if name is not None)


def salvage(source: bytes, reason: str) -> tuple[bytes, str] | None:
    """Move the field that the reason names to `unmapped.<field>` and add the tag `_mappingconflict`.

    Returns the new source and the field's path; None when no field is named, or it is not in the document.
    """
    path = field_of(reason)
    if path is None:
        return None
    document = orjson.loads(source)
    found, value = _take(document, path)
    if not found:
        return None
    aside = document.setdefault(ASIDE_FIELD, {})
    set_aside(aside, path, value)
    tags = document.setdefault("tags", [])
    if CONFLICT_TAG not in tags:
        tags.append(CONFLICT_TAG)
    return orjson.dumps(document), path


def _take(container: dict[str, Any], path: str) -> tuple[bool, Any]:
    """Take the value at a dotted path out; a name may itself hold dots, as may the path's parts."""
    if path in container:
        return True, container.pop(path)
    position = path.find(".")
    while position != -1:
        inner = container.get(path[:position])
        if isinstance(inner, dict):
            found, value = _take(inner, path[position + 1 :])
            if found:
                return found, value
        position = path.find(".", position + 1)
    return False, None
