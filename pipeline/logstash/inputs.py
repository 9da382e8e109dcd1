"""What the input section says: which records are an input's, and how they become events."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.logstash.codecs import decode_json, decode_plain
from pipeline.logstash.fields import (
    Event,
    FieldError,
    Path,
    add_field,
    add_tag,
    parse_reference,
    set_field,
    tag_failure,
)
from pipeline.logstash.input_options import INPUT_OPTIONS, settings_of_input
from pipeline.logstash.interpolation import PatternError, checked, interpolate
from pipeline.logstash.options import Given, Option, check_options, scalar_text
from pipeline.logstash.plugin import FILTER_EXCEPTION, Ecs, Origin
from pipeline.logstash.syntax import Branch, Plugin, Position, Statement

__all__ = ["Input", "plugins_in", "read_input", "read_inputs"]

_NOT_KAFKA: Final[Mapping[str, str]] = {
    "beats": "Let Filebeat write to Kafka: in filebeat.yml, output.kafka with hosts and topic.",
    "elastic_agent": "Let the agent write to Kafka: it has an output of that kind.",
    "file": "Let a shipper such as Filebeat read the file and write to Kafka.",
    "generator": "Use `logpipe generate` for traffic.",
    "stdin": "Use `logpipe logstash test FILE --input -`.",
}


@dataclass(frozen=True, slots=True)
class Input:
    """One Kafka input: which records are its, and what it adds to their events."""

    position: Position
    given: Given
    codec: str = "plain"
    codec_target: Path | None = None
    charset: str = "utf-8"
    delimiter: str | None = None
    """What separates the events of one record, for the codecs that read lines."""
    topics: tuple[str, ...] = ()
    topics_pattern: str | None = None
    decorate: str = "none"
    constants: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    type: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def reads(self, topic: str) -> bool:
        """Say whether this input reads a topic."""
        if self.topics_pattern is not None:
            return re.fullmatch(self.topics_pattern, topic) is not None
        return topic in self.topics

    def events(self, value: bytes, origin: Origin, ecs: Ecs, group_id: str = "") -> list[Event]:
        """Make the events of a record, as Logstash's Kafka input does; bad UTF-8 becomes U+FFFD."""
        text = value.decode(self.charset, "replace")
        has_ecs = ecs != "disabled"
        parts = [text] if self.delimiter is None else [part for part in text.split(self.delimiter) if part]
        events: list[Event] = []
        for part in parts:
            if self.codec in {"plain", "line"}:
                events += decode_plain(part, origin.now, ecs=has_ecs)
            else:
                events += decode_json(part, origin.now, ecs=has_ecs, target=self.codec_target)
        for event in events:
            self._decorate(event, origin, group_id)
        return events

    def _decorate(self, event: Event, origin: Origin, group_id: str) -> None:
        if self.type is not None and "type" not in event:
            event["type"] = self.type
        for name, text in self.constants:
            try:
                add_field(event, parse_reference(interpolate(event, name)), interpolate(event, text))
            except FieldError:  # what the event holds leaves no place for the field
                tag_failure(event, FILTER_EXCEPTION)
        for tag in self.tags:
            add_tag(event, interpolate(event, tag))
        if self.decorate == "none":
            return
        kafka: dict[str, Any] = {
            "topic": origin.topic,
            "consumer_group": group_id or self.given["group_id"],
            "partition": origin.partition,
            "offset": origin.offset,
            "timestamp": origin.timestamp_ms,
            "key": None if origin.key is None else origin.key.decode("utf-8", "replace"),
        }
        set_field(event, ("@metadata", "kafka"), kafka)
        if self.decorate == "extended":
            kafka["headers"] = dict(_texts(origin.headers))


def _texts(headers: Sequence[tuple[str, bytes | None]]) -> Iterator[tuple[str, str]]:
    """Give the headers that are valid UTF-8."""
    for name, value in headers:
        if value is not None:
            try:
                yield name, value.decode()
            except UnicodeDecodeError:
                continue


def read_inputs(statements: Sequence[Statement]) -> tuple[Input, ...]:
    """Read the input section; raises LogstashError for an input that is none of ours."""
    return tuple(read_input(plugin) for plugin in plugins_in(statements))


def plugins_in(statements: Sequence[Statement]) -> Iterator[Plugin]:
    """Give all plugins, those of branches too."""
    for statement in statements:
        if isinstance(statement, Branch):
            for _condition, arm in statement.arms:
                yield from plugins_in(arm)
        else:
            yield statement


def read_input(plugin: Plugin) -> Input:
    """Read one input."""
    if plugin.name != "kafka":
        raise plugin.position.error(
            f"The input `{plugin.name}` is not supported: records come from Kafka.",
            _NOT_KAFKA.get(
                plugin.name, "Let a shipper write its events to Kafka, or write them there yourself."
            ),
        )
    given = check_options(plugin, INPUT_OPTIONS)
    _check_templates(given)
    codec, options = _codec(given)
    target = options.values.get("target")
    decorate = str(given["decorate_events"])
    return Input(
        position=plugin.position,
        given=given,
        codec=codec,
        codec_target=_reference(options, "target", target) if target else None,
        charset=_charset(options),
        delimiter=options.values.get("delimiter"),
        topics=tuple(given.texts("topics")),
        topics_pattern=given["topics_pattern"],
        decorate={"true": "basic", "false": "none"}.get(decorate, decorate),
        constants=tuple(
            (name, scalar_text(text))
            for name, value in given.pairs("add_field")
            for text in (value if isinstance(value, list) else [value])
        ),
        tags=tuple(given.texts("tags")),
        type=given["type"],
        settings=settings_of_input(given),
    )


def _check_templates(given: Given) -> None:
    """Raise LogstashError for a constant with a `%{…}`, or a name, that is none whatever the event."""
    for name, value in given.pairs("add_field"):
        for text in (name, *(value if isinstance(value, list) else [value])):
            _check_template(given, "add_field", scalar_text(text))
        if "%{" not in name:
            try:
                parse_reference(name)
            except FieldError as error:
                raise given.place("add_field").error(
                    f"{error}.", "A nested field is written [a][b]."
                ) from None
    for tag in given.texts("tags"):
        _check_template(given, "tags", tag)


def _reference(given: Given, option: str, name: str) -> Path:
    try:
        return parse_reference(name)
    except FieldError as error:
        raise given.place(option).error(f"{error}.", "A nested field is written [a][b].") from None


def _check_template(given: Given, option: str, text: str) -> None:
    try:
        checked(text)
    except PatternError as error:
        raise given.place(option).error(f"`{text}`: {error}.") from None


_OF_EACH_CODEC: Final[Mapping[str, Option]] = {
    "charset": Option("string", "UTF-8"),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
}
_OF_OUTPUTS: Final = Option("string", status="ignored", note="It is of outputs.")
_CODECS: Final[Mapping[str, Mapping[str, Option]]] = {
    "plain": {**_OF_EACH_CODEC, "format": _OF_OUTPUTS},
    "json": {**_OF_EACH_CODEC, "target": Option("string")},
    # A record is whole: what follows its last delimiter is an event too, and waits for no other record.
    "line": {**_OF_EACH_CODEC, "delimiter": Option("string", "\n"), "format": _OF_OUTPUTS},
    "json_lines": {
        **_OF_EACH_CODEC,
        "delimiter": Option("string", "\n"),
        "target": Option("string"),
        "decode_size_limit_bytes": Option("number", status="ignored", note="Kafka limits a record's size."),
    },
}


def _codec(given: Given) -> tuple[str, Given]:
    codec = given["codec"]
    if isinstance(codec, str):
        codec = Plugin(codec, (), given.place("codec"))
    if not isinstance(codec, Plugin) or codec.name not in _CODECS:
        name = codec.name if isinstance(codec, Plugin) else codec
        raise given.place("codec").error(
            f"The codec `{name}` is not supported.",
            f"Records are read as {', '.join(f'`{known}`' for known in _CODECS)}.",
        )
    options = check_options(codec, _CODECS[codec.name])
    if options.values.get("delimiter") == "":
        raise options.place("delimiter").error("`delimiter` is empty.")
    return codec.name, options


def _charset(options: Given) -> str:
    name: str = options["charset"]
    known = _ENCODINGS.get(name.upper(), name)
    try:
        b"x".decode(known, "replace")  # some of Python's codecs are none of texts
    except (LookupError, ValueError):
        raise options.place("charset").error(f"The character set `{name}` is not known.") from None
    return known


# Ruby's names that Python calls otherwise.
_ENCODINGS: Final = {"ASCII-8BIT": "utf-8", "BINARY": "utf-8", "WINDOWS-31J": "cp932"}
