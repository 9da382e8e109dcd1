"""`urldecode`: `%41` becomes `A`."""

import codecs
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from pipeline.logstash.fields import Event, get, set_field, tag_failure
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Change, Origin, Site
from pipeline.logstash.ruby import inspect

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "field": Option("string", "message"),
    "all_fields": Option("boolean", False),
    "charset": Option("string", "UTF-8"),
    "tag_on_failure": Option("array", ["_urldecodefailure"]),
}
_ESCAPED: Final = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_ESCAPED_BYTE: Final = re.compile("[\udc80-\udcff]")


def build(given: Given, site: Site) -> Change:
    """Decode a field, which becomes null when it is missing, or all fields."""
    field = site.path(given["field"], given.place("field"))
    try:
        codecs.lookup(given["charset"])
    except LookupError:
        raise given.place("charset").error(f"The character set `{given['charset']}` is not known.") from None
    decode = _decoder(given["charset"])
    all_fields = given["all_fields"]
    tags = given.texts("tag_on_failure")

    def run(event: Event, _origin: Origin) -> bool:
        try:
            if all_fields:
                for name in [name for name in event if name != "@metadata"]:
                    event[name] = decode(event[name])
            else:
                set_field(event, field, decode(get(event, field)))
        except (ValueError, LookupError):
            for tag in tags:
                tag_failure(event, tag)
        return True

    return Change(run)


def _decoder(charset: str) -> Callable[[Any], Any]:
    utf8 = codecs.lookup(charset).name == "utf-8"

    def text(value: str) -> str:
        if "%" not in value and utf8:
            return value
        raw = _ESCAPED.sub(
            lambda found: bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "surrogateescape"), value
        ).encode("utf-8", "surrogateescape")
        if not utf8:
            return raw.decode(charset, "replace")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            # What is no UTF-8 is shown as Ruby inspects it.
            shown = raw.decode("utf-8", "surrogateescape")
            parts = _ESCAPED_BYTE.split(shown)
            bad = [f"\\x{ord(letter) - 0xDC00:02X}" for letter in _ESCAPED_BYTE.findall(shown)]
            return "".join(inspect(part)[1:-1] + byte for part, byte in zip(parts, [*bad, ""], strict=True))

    def decode(value: Any) -> Any:
        if value.__class__ is str:
            return text(value)
        if value.__class__ is list:
            return [decode(inner) for inner in value]
        if value.__class__ is dict:
            return {name: decode(inner) for name, inner in value.items()}
        return value

    return decode
