"""The command `logpipe explain`: parse, call, print."""

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.text import Text

from pipeline.cli.options import ConfigOption, milliseconds
from pipeline.cli.tables import Column, print_json, print_table
from pipeline.cli.terminal import err, harmless, out
from pipeline.errors import SettingsError
from pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from pipeline.diagnostics.story import Step, Story
    from pipeline.diagnostics.verdicts import Verdict
    from pipeline.diagnostics.whereabouts import Found, LiveMapping, Place
    from pipeline.events.document import Coordinates
    from pipeline.kafka.dead_letters import DeadLetter

__all__ = ["explain_command"]

_SHOWN_VALUE = 100
_STYLES = {"searchable": "green", "new": "green", "kept": "yellow", "conflict": "bold red"}


def explain_command(
    record: Annotated[
        str | None,
        typer.Argument(
            metavar="RECORD",
            help="topic/partition/offset, or the id of a document. Without it: from stdin, a record a line.",
        ),
    ] = None,
    config: ConfigOption = None,
    timestamp: Annotated[
        str | None, typer.Option(help="Of records from stdin: Kafka's timestamp, ISO-8601; now unless given.")
    ] = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Of records from stdin: do not ask Elasticsearch for the mapping."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Explain what becomes of a record, and why: format, steps, time, level, index, id, mapping, and where it is now.

    Where Kafka no longer has the record, its dead letter is taken. Exit code 1 when neither is there.
    """
    settings = load_settings(config)
    if settings.filters.wanted:
        raise SettingsError(
            "filters.file, filters.python: what filters change is shown by `logpipe logstash test` and `logpipe tap`; "
            "this explains the pipeline's own rules"
        )
    if record is None:
        stamp = milliseconds("--timestamp", timestamp)
        told = asyncio.run(_from_stdin(settings, stamp, offline=offline))
    else:
        if timestamp is not None or offline:
            raise SettingsError("--timestamp and --offline are for records from stdin")
        told = asyncio.run(_from_servers(settings, record))
    if as_json:
        print_json([one.as_json() for one in told])
    else:
        for number, one in enumerate(told):
            if number:
                out.print()
            one.print()
    if any(not one.stories for one in told):
        raise typer.Exit(1)


class _Told:
    """A record and everything that is known of it."""

    def __init__(
        self,
        place: "Coordinates",
        value: bytes | None,
        stories: "list[Story]",
        now: str = "",
        whereabouts: dict[str, str] | None = None,
        mappings: "dict[str, LiveMapping] | None" = None,
        letters: "list[DeadLetter] | None" = None,
    ) -> None:
        self.place = place
        self.value = value
        self.stories = stories
        self.now = now
        self.whereabouts = whereabouts or {}
        self.mappings = mappings or {}
        self.letters = letters or []

    def verdicts(self, story: "Story") -> "list[Verdict]":
        from pipeline.diagnostics.verdicts import verdicts

        live = self.mappings.get(story.document.index_name)
        if live is None:
            return []
        document: dict[str, Any] = orjson.loads(story.document.source)
        return verdicts(document, live.mapping, ignore_malformed=live.ignore_malformed)

    def as_json(self) -> dict[str, Any]:
        return {
            "record": {**self.place.as_json(), "bytes": None if self.value is None else len(self.value)},
            "now": self.now,
            "documents": [
                {
                    **story.as_json(),
                    "fields": [verdict._asdict() for verdict in self.verdicts(story)],
                    "now": self.whereabouts.get(story.document.id),
                }
                for story in self.stories
            ],
            "dead_letters": [
                {
                    "error_type": each.error_type,
                    "reason": each.reason,
                    "field": each.field,
                    "status": each.status,
                }
                for each in self.letters
            ],
        }

    def print(self) -> None:
        place = self.place
        size = "a tombstone" if self.value is None else f"{len(self.value):,} bytes"
        _line(
            "record", f"{place.topic}/{place.partition}/{place.offset}, {_time(place.timestamp_ms)}, {size}"
        )
        if self.now:
            _line("", self.now)
        for story in self.stories:
            self._print_story(story)
        for letter in self.letters:
            told = f"{letter.status} {letter.error_type}: {harmless(letter.reason)}"
            _line("dead letter", f"{told} (after {letter.attempts} attempts)", "red")

    def _print_story(self, story: "Story") -> None:
        document = story.document
        out.print()
        if len(self.stories) > 1:
            _line("document", f"{self.stories.index(story) + 1} of {len(self.stories)}")
        _line("format", document.format)
        for name, path in document.taken:
            _line("", f"{name} is taken from {path}", "dim")
        _line("time", f"{document.fields['@timestamp']}: {story.why_time}")
        _line("level", f"{harmless(str(document.fields.get('level') or 'none'))}: {story.why_level}")
        _line("index", f"{document.index_name}: {story.why_index}")
        _line("id", f"{document.id}: {story.why_id}")
        _line("steps", "" if story.steps else "none: the document is the event")
        for step in story.steps:
            out.print(_step(step), soft_wrap=True)
        live = self.mappings.get(document.index_name)
        if live is not None:
            there = "" if live.exists else ", which is not there yet: as its template says"
            _line("mapping", f"of {live.name}{there}")
            rows: list[list[str | Text]] = [
                [one.field, Text(one.outcome, _STYLES[one.outcome]), one.type, one.why]
                for one in self.verdicts(story)
            ]
            print_table(out, [Column("field"), Column("is"), Column("type"), Column("why")], rows)
        if where := self.whereabouts.get(document.id):
            _line("now", where, "bold")


def _line(name: str, text: str, style: str = "") -> None:
    out.print(Text.assemble((f"{name:<11} ", "bold"), (text, style)), soft_wrap=True)


def _step(step: "Step") -> Text:
    if step.before is None:
        return Text(f"  + {harmless(step.field)} {_value(step.after)}", "green")
    if step.after is None:
        return Text(f"  - {harmless(step.field)} {_value(step.before)}", "red")
    return Text(f"  ~ {harmless(step.field)} {_value(step.before)} → {_value(step.after)}", "yellow")


def _value(value: Any) -> str:
    text = harmless(orjson.dumps(value, default=str).decode())
    return text if len(text) <= _SHOWN_VALUE else f"{text[:_SHOWN_VALUE]}… ({len(text):,} characters)"


def _time(stamp_ms: int) -> str:
    from pipeline.events.timestamps import from_epoch_ms

    try:
        return from_epoch_ms(stamp_ms).text
    except (ValueError, OverflowError):
        return f"timestamp {stamp_ms}"


async def _from_stdin(settings: Settings, stamp_ms: int | None, *, offline: bool) -> list[_Told]:
    from pipeline.diagnostics.story import tell
    from pipeline.diagnostics.whereabouts import find_documents
    from pipeline.encode.transform import split_lines
    from pipeline.events.document import Coordinates, DocumentBuilder

    builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
    topic = settings.kafka.topics[0] if settings.kafka.topics else settings.index.prefix
    now_ms = time.time_ns() // 1_000_000
    told = []
    for number, value in enumerate(split_lines(sys.stdin.buffer)):
        place = Coordinates(topic, 0, number, now_ms if stamp_ms is None else stamp_ms)
        told.append(_Told(place, value, tell(value, place, builder, now_ms)))
    if not offline:
        indices = [story.document.index_name for one in told for story in one.stories]
        _, mappings = await find_documents(settings, [], indices)
        for one in told:
            one.mappings = mappings
    return told


async def _from_servers(settings: Settings, text: str) -> list[_Told]:
    from pipeline.diagnostics.story import tell
    from pipeline.diagnostics.whereabouts import find_documents, find_letters, find_record, read_place
    from pipeline.encode.record_chunk import headers_of
    from pipeline.events.document import Coordinates, DocumentBuilder
    from pipeline.events.ids import id_in_form

    place = read_place(text)
    found = await find_record(settings, place)
    letters = await find_letters(settings, place)
    now_ms = time.time_ns() // 1_000_000
    builder = DocumentBuilder(settings.events, settings.index, settings.inputs)
    if found.record is not None:
        stamp = found.record.timestamp
        record = Coordinates(*place[:3], stamp, builder.ids.topic_key(found.topic_id, stamp))
        value, headers = found.record.value, headers_of(found.record)
        now = _in_kafka(found, place)
        if place.timestamp_ms not in {None, stamp} or place.topic_key not in {
            "",
            builder.ids.key_of(found.topic_id),
        }:
            now = f"{now} The id is of another record that was here: the topic has been made anew since."
    elif letters and letters[0].whole_bytes is None:
        record, value, headers = letters[0].record, letters[0].value, letters[0].headers
        now = "Kafka does not have it any more; this is told from its dead letter."
    else:
        err.print(
            f"Kafka has no record at {place.topic}/{place.partition}/{place.offset} (the partition ends at "
            f"{found.end}), and there is no dead letter of it.",
            style="red",
            soft_wrap=True,
        )
        return [
            _Told(
                Coordinates(*place[:3], place.timestamp_ms or -1, place.topic_key), None, [], "not in Kafka"
            )
        ]
    stories = tell(value, record, builder, now_ms, headers)
    ids = [story.document.id for story in stories]
    # By settings of another day, or of another version, it may be there in the other form.
    form = builder.ids.other_form(record, found.topic_id)
    others = {
        each: other
        for each in ids
        if form != record and (other := id_in_form(each, record, form)) is not None
    }
    indices = [story.document.index_name for story in stories]
    there, mappings = await find_documents(settings, [*ids, *others.values()], indices)
    dead = {letter.id for letter in letters}
    for each, other in others.items():
        if other in there:
            there.setdefault(each, []).extend(there[other])
        if other in dead:
            dead.add(each)
    whereabouts = {each: _whereabouts(each, there, dead, letters, found, place) for each in ids}
    return [_Told(record, value, stories, now, whereabouts, mappings, letters)]


def _in_kafka(found: "Found", place: "Place") -> str:
    if found.committed is None:
        return "The group has committed nothing of this partition."
    if place.offset < found.committed:
        return f"The group has committed up to {found.committed}: this record is settled."
    before = place.offset - found.committed
    return f"The group has committed up to {found.committed}: {before:,} records wait before it."


def _whereabouts(
    identifier: str,
    there: dict[str, list[tuple[str, list[str]]]],
    dead: set[str],
    letters: "list[DeadLetter]",
    found: "Found",
    place: "Place",
) -> str:
    if copies := there.get(identifier):
        names = " and ".join(index for index, _ in copies)
        ignored = sorted({field for _, fields in copies for field in fields})
        told = f"In Elasticsearch, in {names}."
        return f"{told} Not searchable: {', '.join(ignored)}." if ignored else told
    if identifier in dead or any(letter.element is None for letter in letters):
        return "A dead letter; `logpipe dlq replay` indexes it once what is wrong has been mended."
    if found.committed is not None and place.offset < found.committed:
        return (
            "Neither in Elasticsearch nor a dead letter, though it is committed: its index has been deleted, or it is "
            "lost. `logpipe audit` says more."
        )
    return "Not indexed yet: a worker has still to read or to settle it. `logpipe lag` says how far they are."
