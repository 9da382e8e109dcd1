"""The golden cases: reading them, running them, and holding what comes out against what Logstash made."""

import base64
import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from pipeline.errors import LogstashError
from pipeline.logstash.codecs import decode_json, decode_plain
from pipeline.logstash.compiler import Compiled, Context, compile_filters
from pipeline.logstash.parse import parse
from pipeline.logstash.plugin import Ecs, Origin, Outcomes
from pipeline.logstash.trial import plain_document

FOLDER: Final = Path(__file__).parent / "golden"
NOW: Final = int(datetime(2026, 11, 28, 12, 0, 0, 123000, tzinfo=UTC).timestamp() * 1000)
ORIGIN: Final = Origin("topic", 0, 1, NOW)


def cases(name: str = "*") -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for file in sorted(FOLDER.glob(f"{name}.ndjson"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]


@cache
def compiled(config: str, ecs: Ecs, escapes: bool) -> Compiled:
    configuration = parse(config, "golden.conf", support_escapes=escapes)
    return compile_filters(configuration.statements("filter"), Context(ecs=ecs))


def run(case: dict[str, Any]) -> tuple[list[dict[str, Any]], Outcomes]:
    """Run a case; raises LogstashError when the configuration is refused."""
    escapes = bool(case.get("settings", {}).get("config.support_escapes"))
    filters = compiled(case["config"], case["ecs"], escapes)
    raw = (
        base64.b64decode(case["input_base64"])
        if "input_base64" in case
        else case["input"].encode("utf-8", "surrogatepass")
    )
    decode = decode_json if case["codec"] == "json" else decode_plain
    events = decode(raw.decode("utf-8", "replace"), ORIGIN.now, ecs=case["ecs"] != "disabled")
    outcomes = Outcomes()
    left, _origins = filters.run(events, [ORIGIN] * len(events), outcomes)
    documents = [{name: value for name, value in event.items() if name != "@metadata"} for event in left]
    return json.loads(json.dumps(plain_document(documents))), outcomes


def refused(case: dict[str, Any]) -> bool:
    try:
        run(case)
    except LogstashError:
        return True
    return False


def agrees(expected: list[Any], got: list[Any]) -> bool:
    """The order of the events that one record becomes says nothing."""
    if len(expected) != len(got):
        return False
    left = list(got)
    for event in expected:
        found = next((candidate for candidate in left if same(event, candidate)), None)
        if found is None:
            return False
        left.remove(found)
    return True


def same(expected: Any, got: Any) -> bool:
    if isinstance(expected, dict):
        return (
            isinstance(got, dict)
            and expected.keys() == got.keys()
            and all(same(v, got[k]) for k, v in expected.items())
        )
    if isinstance(expected, list):
        return isinstance(got, list) and len(expected) == len(got) and all(map(same, expected, got))
    if isinstance(expected, str) and "<" in expected:
        pattern = re.escape(expected).replace("<now\\ s>", r"\d+").replace("<now>", r"\S+")
        return (
            isinstance(got, str) and re.fullmatch(pattern.replace("<uuid>", "[0-9a-f-]{36}"), got) is not None
        )
    return type(expected) is type(got) and bool(expected == got)
