"""The page of formats: how each is recognised, and a record of it before and after, from the cases of the tests."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from pipeline.cli.formats import recognised_by
from pipeline.events.document import Coordinates, Document, DocumentBuilder
from pipeline.events.formats import Format
from pipeline.events.timestamps import parse_timestamp
from pipeline.settings import Events, Index

__all__ = ["formats_page"]

CASES = Path(__file__).parents[2] / "tests/events/formats"
_TIME = "2026-11-23T10:20:00Z"
_LONGEST = 240

_HEAD = """# Formats

Written by `make docs` from `pipeline/events/formats.toml` and from the cases in `tests/events/formats`.

A record is recognised by the names at its root. What a logger calls otherwise goes to the canonical fields:
`timestamp`, `level`, `message`, `service`, `component`, `trace_id`, `span_id`, `error.type`, `error.message`,
`error.stack_trace`, `host.name`. `logpipe formats` lists the formats, `logpipe formats --test` says of each record on
stdin which one it is, and `logpipe transform --explain` shows the document and what was taken from where. The metric
`logpipe_input_events_total{topic,format}` counts them.

## Rules

1. A canonical name with a value of the right type wins. Other names are looked at only where it is absent.
2. The application's time wins over the shipper's, and that over Kafka's. A time under another name than `timestamp`
   counts only within the window around Kafka's timestamp (`events.retention_days`, `events.max_future_seconds`):
   `"time": 12.5` is a duration.
3. A payload is unpacked at most twice: an object, or text that is JSON. Inner fields win over those of the envelope,
   which are kept; a scalar that had to give way is in `unmapped.envelope.<name>`, the shipper's time in
   `event.created`.
4. Nothing is lost: what is not canonical stays under its own name, and what a conversion shortens stays as well.
5. A Filebeat envelope has `agent` or `@metadata.beat`, or our service in `fields.service`. Another service in
   `fields.service` of a Beat passes through unchanged.
6. A time that programs write when they have none is no time: the first second of the year 1, of 1601 and of 1970, and
   14 or 17 digits glued together. It is kept, with the tag `_timestampmeansnone`.
7. A trace id is written as W3C has it: Datadog's decimal number as 32 hex digits, X-Ray's without its dashes; the
   original stays. Nothing but zeros, `null` and the like is no id, and moved aside.
8. An event without a trace id gets that which the record's Kafka headers name: `traceparent`, `b3`, or `X-B3-TraceId`
   and `X-B3-SpanId`. Not with `format = "guide"`.

## Framings

| record | read as |
|---|---|
| `<13>…` syslog: RFC 5424, BSD's, with octet counts, Heroku's | severity, time, host, program; JSON in it is unpacked |
| `2026-…Z stdout F …` | CRI; a piece (`P`) has the tag `_partialline` |
| `@cee: {…}` | the object |
| `"{\\"level\\":…}"` | the object in the text |
| several objects, in lines or not | one event each, ids ending in `.0`, `.1` |
| first byte `00` | Confluent's framing: JSON is read; Avro and protobuf become a dead letter with the schema's id |
| first bytes `1f 8b` | gzip, up to 32 MiB |
| first byte `0a` | OTLP's protobuf, with the extra `otlp-logs` |
| damaged JSON | repaired there: tag `_jsonrepaired`, and `event.original_bytes_damaged` says what was done |

Pieces of long lines (Docker and containerd cut at 16 KB) are not joined: they are tagged `_partialline`. The shipper
can join them: Filebeat's `container` parser, Fluent Bit's `multiline.parser cri`, Vector's `auto_partial_merge`.

## Formats of your own

`events.formats_file` names a TOML file of the same form as `pipeline/events/formats.toml`, which explains its keys. A
format of the same name replaces the one that comes along; others are tried before those.

```toml
[shop]
title = "our shop's old logger"
has = ["when", "what"]
take.timestamp = ["when"]
take.message = ["what"]
take.level = ["sev as syslog_severity"]
```

Where the shape is not enough, say it for a topic, or for all topics that fit a pattern:

```toml
[inputs."legacy-*"]
format = "text"
service = "legacy"
```

`format` is `auto`, `guide` (the guide's own format, strictly), `text`, `syslog`, `otlp_proto`, `confluent_json`, or one
of these:
"""


def formats_page() -> str:
    """Write the page."""
    builder = DocumentBuilder(Events(), Index())
    samples = _samples(builder)
    return "\n".join(
        [_HEAD, *(line for each in builder.formats.by_name.values() for line in _part(each, samples))]
    )


def _samples(builder: DocumentBuilder) -> dict[str, tuple[str, Document]]:
    """Find a record for each format; one that is nothing else besides, if there is one."""
    time = parse_timestamp(_TIME)
    if time is None:
        raise ValueError(_TIME)
    found: dict[str, tuple[str, Document]] = {}
    inner: dict[str, tuple[str, Document]] = {}
    for name in ("variants", "shippers"):
        for line in (CASES / f"{name}.ndjson").read_text("utf-8").splitlines():
            case = json.loads(line)
            value = base64.b64decode(case["record"]) if case.get("base64") else case["record"].encode()
            document = builder.documents(value, Coordinates("logs", 0, 0, time.epoch_ms), time.epoch_ms)[0]
            outer, *others = document.format.split(">")
            (inner if others else found).setdefault(outer, (case["record"], document))
            for each in others:
                inner.setdefault(each, (case["record"], document))
    return inner | found


def _part(of: Format, samples: dict[str, tuple[str, Document]]) -> Iterator[str]:
    yield f"### {of.name}\n\n{of.title[:1].upper()}{of.title[1:]}. Recognised by: {recognised_by(of)}.\n"
    if of.name not in samples:
        return
    record, document = samples[of.name]
    yield f"```text\n{_short(record)}\n```\n"
    fields = {name: value for name, value in document.fields.items() if name not in {"kafka", "service_name"}}
    yield f"```json\n{orjson.dumps(_shortened(fields), option=orjson.OPT_INDENT_2).decode()}\n```\n"


def _short(text: str) -> str:
    return text if len(text) <= 3 * _LONGEST else f"{text[: 3 * _LONGEST]}…"


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(each) for name, each in value.items()}
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:_LONGEST]}…"
    return value
