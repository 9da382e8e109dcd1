"""A line of the log as text and in the guide's format."""

import logging
import re
import sys
from collections.abc import Iterator
from types import TracebackType

import orjson
import pytest

from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.settings import Events, Index, Log
from pipeline.telemetry.log_lines import JsonLines, TextLines, log_is_json, set_up_log
from pipeline.telemetry.troubles import Line, write

TRACE = "c8a70639eb1167b367a9c3787c65c1e5"
_Where = tuple[type[BaseException], BaseException, TracebackType | None]


def record(message: str, *values: object, error: BaseException | None = None) -> logging.LogRecord:
    where: _Where | None = None if error is None else (type(error), error, error.__traceback__)
    made = logging.LogRecord("pipeline.bulk.sender", logging.WARNING, "f.py", 1, message, values, where)
    made.created = 1_705_314_600.123
    made.process = 4711
    return made


def test_text_has_the_time_in_utc_with_its_zone() -> None:
    line = TextLines().format(record("%d documents wait", 3))
    assert line == "2024-01-15T10:30:00.123Z WARN 4711 bulk.sender: 3 documents wait"


@pytest.mark.parametrize("hostile", ["a\nERROR forged", "\x1b[2J", "a\rb", "\x9b2J", "a\u2028b"])
def test_a_message_stays_on_its_line_and_commands_no_terminal(hostile: str) -> None:
    line = TextLines().format(record("answered: %s", hostile))
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_json_is_the_guides_format() -> None:
    made = record("%d documents wait", 3)
    made.context, made.trace_id = {"state": "begins"}, TRACE
    assert orjson.loads(JsonLines().format(made)) == {
        "timestamp": "2024-01-15T10:30:00.123Z",
        "level": "WARN",
        "service": "log-pipeline",
        "component": "bulk.sender",
        "trace_id": TRACE,
        "message": "3 documents wait",
        "context": {"process_id": 4711, "state": "begins"},
    }


def test_the_pipeline_indexes_its_own_lines() -> None:
    made = record("a line\nof two")
    made.context, made.trace_id = {"state": "begins"}, TRACE
    builder = DocumentBuilder(Events(), Index(), {})
    line = JsonLines().format(made).encode()
    (document,) = builder.documents(line, Coordinates("logs", 0, 1, 1_705_314_600_500), 1_705_314_601_000)
    assert document.index_name == "claude-code-bot-2024.01.15"
    fields = document.fields
    assert fields["@timestamp"] == "2024-01-15T10:30:00.123Z"
    assert (fields["level"], fields["service"], fields["trace_id"]) == ("WARN", "log-pipeline", TRACE)
    assert fields["message"] == "a line\nof two"
    assert "tags" not in fields


def test_an_exception_is_in_the_context() -> None:
    try:
        raise ValueError("no")
    except ValueError as error:
        made = record("it failed", error=error)
    context = orjson.loads(JsonLines().format(made))["context"]
    assert context["exception_type"] == "ValueError"
    assert context["stack_trace"].endswith("ValueError: no")
    assert TextLines().format(made).endswith("ValueError: no")


@pytest.mark.parametrize("value", ["\ud800", b"\xff", {1: object()}, float("nan")])
def test_any_value_gives_a_line_of_json(value: object) -> None:
    made = record("%s", value)
    made.context = {"value": str(value) if isinstance(value, str) else value}
    assert orjson.loads(JsonLines().format(made))["level"] == "WARN"


@pytest.fixture
def as_it_was() -> Iterator[None]:
    root, hook = logging.getLogger(), sys.excepthook
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    sys.excepthook = hook
    logging.captureWarnings(capture=False)


@pytest.mark.usefixtures("as_it_was")
def test_the_settings_say_how_and_what_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_log(Log(format="json", level="WARN"))
    assert log_is_json()
    log = logging.getLogger("pipeline.worker")
    write(log, [Line(logging.INFO, "not this", {}), Line(logging.WARNING, "100 % of it", {"a": 1}, TRACE)])
    set_up_log(Log())
    assert not log_is_json()
    write(log, [Line(logging.INFO, "as text", {})])
    first, second = capsys.readouterr().err.splitlines()
    assert orjson.loads(first)["message"] == "100 % of it"
    assert orjson.loads(first)["trace_id"] == TRACE
    assert re.fullmatch(r"\S+Z INFO \d+ worker: as text", second)


@pytest.mark.parametrize("written", ["warning", "WARN", "Warning"])
def test_a_level_may_be_written_as_python_does(written: str) -> None:
    assert Log.model_validate({"level": written}).level == "WARN"
