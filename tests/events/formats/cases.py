"""Cases of formats, and what a document has wrong about one; README.md says what a case is."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.events.timestamps import parse_timestamp

__all__ = ["CASES", "Case", "differences", "load_cases"]

_HERE = Path(__file__).parent
_FIELDS = ("level", "message", "service", "trace_id", "span_id")
_KAFKA_TIME = "2026-11-23T10:20:00Z"
_match_failure = re.compile(r"_\w+failure").fullmatch
_find_garbage = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffd]").search


class Case(NamedTuple):
    name: str
    value: bytes
    timestamp_ms: int
    expected: list[dict[str, Any]]
    format: str | None


def load_cases(name: str) -> list[Case]:
    return list(map(_case, (_HERE / name).read_text("utf-8").splitlines()))


def _case(line: str) -> Case:
    row = json.loads(line)
    record, expect = row["record"], row["expect"]
    time = parse_timestamp(row.get("kafka_time", _KAFKA_TIME))
    assert time is not None
    return Case(
        row["case"],
        base64.b64decode(record) if row.get("base64") else record.encode(),
        time.epoch_ms,
        expect if isinstance(expect, list) else [expect],
        row.get("format"),
    )


CASES = [case for name in ("shippers", "variants", "damaged") for case in load_cases(f"{name}.ndjson")]


def differences(expected: dict[str, Any], document: dict[str, Any]) -> list[str]:
    fields = dict(_leaves(document))
    tags = document.get("tags", [])
    found = []
    if "@timestamp" in expected and _instant(document["@timestamp"]) not in map(
        _instant, _any_of(expected["@timestamp"])
    ):
        found.append(f"@timestamp {document['@timestamp']}, not {expected['@timestamp']}")
    found += [
        f"{name} {fields.get(name)!r}, not {expected[name]!r}"
        for name in _FIELDS
        if name in expected
        and not any(
            each == fields.get(name) and type(each) is type(fields.get(name))
            for each in _any_of(expected[name])
        )
    ]
    if "error_tag" in expected and ("error" in tags) is not expected["error_tag"]:
        found.append(f"tags {tags}")
    if not set(expected.get("tags", ())) <= set(tags):
        found.append(f"tags {tags}, not {expected['tags']}")
    if ("@timestamp" in expected or "level" in expected) and any(map(_match_failure, tags)):
        found.append(f"a failure: {tags}")
    values = [value for each in fields.values() for value in (each if isinstance(each, list) else [each])]
    there = {str(value).strip() for value in values}
    found += [f"{value!r} is lost" for value in expected.get("kept", ()) if str(value).strip() not in there]
    if expected.get("no_garbage") and any(_find_garbage(value) for value in values if isinstance(value, str)):
        found.append("bytes as text")
    return found


def _any_of(expected: Any) -> list[Any]:
    return expected if isinstance(expected, list) else [expected]


def _instant(text: str) -> int:
    time = parse_timestamp(text)
    assert time is not None
    return time.epoch_ms


def _leaves(value: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, child in value.items():
        if isinstance(child, dict):
            yield from _leaves(child, f"{path}{name}.")
        elif isinstance(child, list) and any(isinstance(each, dict) for each in child):
            for number, each in enumerate(child):
                yield from _leaves(each if isinstance(each, dict) else {"": each}, f"{path}{name}.{number}.")
        else:
            yield f"{path}{name}", child
