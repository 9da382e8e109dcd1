"""`csv`: the columns of a line become fields."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from pipeline.logstash.fields import Event, FieldError, get, set_field, tag_failure
from pipeline.logstash.options import Given, Option, scalar_text
from pipeline.logstash.plugin import Change, Origin, Site, Spread
from pipeline.logstash.timestamp import Timestamp, parse_timestamp

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "source": Option("string", "message"),
    "columns": Option("array", []),
    "separator": Option("string", ","),
    "quote_char": Option("string", '"'),
    "autodetect_column_names": Option(
        "boolean",
        False,
        status="refused",
        note="It remembers the first line, which no replay can: name the columns.",
    ),
    "autogenerate_column_names": Option("boolean", True),
    "skip_empty_columns": Option("boolean", False),
    "skip_empty_rows": Option("boolean", False),
    "skip_header": Option("boolean", False),
    "target": Option("string"),
    "convert": Option("hash", {}),
    "tag_on_failure": Option("array", ["_csvparsefailure"]),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
}
_INTEGER: Final = re.compile(r"[+-]?\d+(?:_\d+)*\Z", re.ASCII)
_FLOAT: Final = re.compile(r"[+-]?\d+(?:_\d+)*(?:\.\d+)?(?:[eE][+-]?\d+)?\Z", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_DATE_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T\s](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(\s*(?:Z|UTC)|[+-]\d\d:?\d\d)?)?\Z", re.ASCII
)


def build(given: Given, site: Site) -> Change | Spread:
    """Split a line into columns; with `skip_header` a line of the columns' names is dropped."""
    source = site.path(given["source"], given.place("source"))
    target = site.path(given["target"], given.place("target")) if given["target"] else ()
    columns = given.texts("columns")
    paths = [(*target, *site.path(name, given.place("columns"))) for name in columns]
    converters = [_converter(given["convert"].get(name), given) for name in columns]
    separator, quote = given["separator"], given["quote_char"]
    if len(separator) != 1 or len(quote) != 1:
        raise given.position.error(
            "`csv`: `separator` and `quote_char` are one character each.", "Write a tab as a tab."
        )
    tags = given.texts("tag_on_failure")
    generate, skip_empty = given["autogenerate_column_names"], given["skip_empty_columns"]

    def run(event: Event, _origin: Origin) -> bool:
        line = get(event, source)
        if line is None:
            return False
        values = split_line(line, separator, quote) if line.__class__ is str else None
        if values is None:
            if given["skip_empty_rows"] and line == "":
                tag_failure(event, "_csvskippedemptyfield")
                return False
            for tag in tags:
                tag_failure(event, tag)
            return False
        try:
            put(event, values)
        except FieldError:
            for tag in tags:
                tag_failure(event, tag)
            return False
        return True

    def put(event: Event, values: list[str | None]) -> None:
        for index, value in enumerate(values):
            if skip_empty and not value:
                continue
            if index < len(paths):
                convert = converters[index]
                set_field(event, paths[index], value if convert is None or value is None else convert(value))
            elif generate:
                set_field(event, (*target, f"column{index + 1}"), value)

    if not given["skip_header"]:
        return Change(run)

    def run_or_drop(event: Event, origin: Origin) -> list[tuple[Event, bool]]:
        line = get(event, source)
        if columns and line.__class__ is str and split_line(line, separator, quote) == columns:
            return []
        return [(event, run(event, origin))]

    return Spread(run_or_drop, may_drop=True)


def split_line(text: str, separator: str, quote: str) -> list[str | None] | None:
    """Split the first line of a text; None for an empty one, or one with broken quotes.

    An empty column is null, an empty quoted one an empty text.
    """
    if quote not in text:
        line = text.split("\n", 1)[0].rstrip("\r")
        return [part or None for part in line.split(separator)] if line else None
    columns: list[str | None] = []
    place = 0
    while True:
        if text.startswith(quote, place):
            end = place + 1
            while True:
                end = text.find(quote, end)
                if end < 0:
                    return None
                if not text.startswith(quote, end + 1):
                    break
                end += 2
            columns.append(text[place + 1 : end].replace(quote + quote, quote))
            place = end + 1
        else:
            end = min(
                (found for found in (text.find(separator, place), text.find("\n", place)) if found >= 0),
                default=len(text),
            )
            value = text[place:end].rstrip("\r") if end == len(text) or text[end] == "\n" else text[place:end]
            if quote in value:
                return None
            columns.append(value or None)
            place = end
        if place >= len(text) or text[place] in "\r\n":
            return columns
        if text[place] != separator:
            return None
        place += 1


def _converter(kind: Any, given: Given) -> Callable[[str], Any] | None:
    if kind is None:
        return None
    converters: dict[str, Callable[[str], Any]] = {
        "integer": lambda text: int(text) if _INTEGER.match(text) else text,
        "float": lambda text: float(text) if _FLOAT.match(text) else text,
        "date": _to_date,
        "date_time": _to_date_time,
        "boolean": _to_boolean,
    }
    name = scalar_text(kind)
    if name not in converters:
        raise given.place("convert").error(
            f"`csv` cannot convert to `{name}`.", f"Known: {', '.join(converters)}."
        )
    return converters[name]


def _to_boolean(text: str) -> Any:
    lowered = text.strip().lower()
    return lowered == "true" if lowered in {"true", "false"} else text


def _to_date(text: str) -> Any:
    return (parse_timestamp(text) if _DATE.match(text) else None) or text


def _to_date_time(text: str) -> Timestamp | str:
    found = _DATE_TIME.match(text)
    if not found:
        return text
    zone = (found[3] or "").strip().replace("UTC", "Z")
    return parse_timestamp(f"{found[1]}T{found[2] or '00:00'}{zone or 'Z'}") or text
