"""The options that every filter has, written as Python: `add_field`, `remove_field`, `add_tag`, `remove_tag`."""

from pipeline.logstash.options import Given, scalar_text
from pipeline.logstash.ruby import hash_order
from pipeline.logstash.source import Source

__all__ = ["has_common", "write_common"]


def has_common(given: Given) -> bool:
    """Say whether a plugin has common options that change events."""
    return any(given[name] for name in ("add_field", "add_tag", "remove_field", "remove_tag"))


def write_common(source: Source, given: Given) -> None:
    """Write `add_field`, `remove_field`, `add_tag` and `remove_tag`."""
    fields_to_add = given["add_field"]
    for name in hash_order(list(fields_to_add)):
        value = fields_to_add[name]
        for text in value if isinstance(value, list) else [value]:
            expression = source.text(scalar_text(text))
            plain = source.plain_name(name)
            if plain is None:
                source.line(f"add_field(event, {source.path(name)}, {expression})")
                continue
            with source.block(f"if {plain!r} in event:"):
                source.line(f"add_field(event, {(plain,)!r}, {expression})")
            with source.block("else:"):
                source.line(f"event[{plain!r}] = {expression}")
    for name in given.texts("remove_field"):
        source.remove(name)
    for tag in given.texts("add_tag"):
        source.line(f"add_tag(event, {source.text(tag)})")
    for tag in given.texts("remove_tag"):
        source.line(f"remove_tag(event, {source.text(tag)})")
