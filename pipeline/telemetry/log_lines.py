"""How a line of the pipeline's own log looks: text, or the guide's JSON; the time is UTC in both."""

import json
import logging
import sys
import traceback
from types import TracebackType
from typing import Any

import orjson

from pipeline.events.timestamps import from_epoch_ms
from pipeline.settings import Log

__all__ = ["SERVICE", "JsonLines", "TextLines", "log_is_json", "set_up_log"]

SERVICE = "log-pipeline"
"""The `service` of the lines, and of the pipeline's own spans."""

# The guide's name for it. CRITICAL is used by libraries alone.
_LEVELS = {"WARNING": "WARN", "CRITICAL": "ERROR"}
# What these say of each attempt, ours says once; Faust draws a table at each rebalance.
_LIBRARIES = {
    "aiokafka": logging.WARNING,
    "elastic_transport": logging.ERROR,
    "faust": logging.WARNING,
    "mode": logging.WARNING,
}
_OURS = "pipeline."


class TextLines(logging.Formatter):
    """`2024-01-15T10:30:00.123Z WARN 4711 bulk.sender: message`, each on a line of its own but for tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a line."""
        line = f"{_time(record)} {_level(record)} {record.process} {_component(record)}: {_harmless(_message(record))}"
        stack = _stack_trace(record)
        return f"{line}\n{stack}" if stack else line


class JsonLines(logging.Formatter):
    """A JSON object a line: `timestamp`, `level`, `service`, `component`, `message`, `context`, perhaps `trace_id`.

    What a call gives as `extra={"context": {…}, "trace_id": "…"}` is in it.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a line."""
        context: dict[str, Any] = {"process_id": record.process, **getattr(record, "context", {})}
        if record.exc_info and record.exc_info[0] is not None:
            context["exception_type"] = record.exc_info[0].__name__
        if stack := _stack_trace(record):
            context["stack_trace"] = stack
        event = {
            "timestamp": _time(record),
            "level": _level(record),
            "service": SERVICE,
            "component": _component(record),
        }
        if trace_id := getattr(record, "trace_id", None):
            event["trace_id"] = trace_id
        return _dump({**event, "message": _message(record), "context": context})


def set_up_log(settings: Log) -> None:
    """Write the log to stderr as the settings say, from now on; calling it again changes it."""
    root = logging.getLogger()
    for before in _own_handlers():
        root.removeHandler(before)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if settings.format == "json" else TextLines())
    root.addHandler(handler)
    root.setLevel("WARNING" if settings.level == "WARN" else settings.level)
    logging.captureWarnings(capture=True)
    for name, level in _LIBRARIES.items():
        logging.getLogger(name).setLevel(level)
    sys.excepthook = _log_exception if settings.format == "json" else sys.__excepthook__


def log_is_json() -> bool:
    """Tell whether the log is for machines: then nothing else should go to stderr."""
    return any(isinstance(handler.formatter, JsonLines) for handler in _own_handlers())


def _own_handlers() -> list[logging.Handler]:
    return [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler.formatter, (TextLines, JsonLines))
    ]


def _log_exception(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, where)
    else:
        logging.getLogger("pipeline").critical("%s: %s", kind.__name__, error, exc_info=(kind, error, where))


def _time(record: logging.LogRecord) -> str:
    return from_epoch_ms(int(record.created * 1000)).text


def _level(record: logging.LogRecord) -> str:
    return _LEVELS.get(record.levelname, record.levelname)


def _component(record: logging.LogRecord) -> str:
    return record.name.removeprefix(_OURS)


def _message(record: logging.LogRecord) -> str:
    # A library may log bytes that were no text.
    return record.getMessage().encode("utf-8", "replace").decode()


def _stack_trace(record: logging.LogRecord) -> str:
    stack = "".join(traceback.format_exception(*record.exc_info)).rstrip() if record.exc_info else ""
    return "\n".join(filter(None, [stack, record.stack_info]))


def _harmless(message: str) -> str:
    """Keep a message on its line: what a server answers, or a record holds, may hold anything."""
    if message.isprintable():
        return message
    return "".join([one if one.isprintable() else one.encode("unicode_escape").decode() for one in message])


def _dump(event: dict[str, Any]) -> str:
    """Write JSON; what an `extra` holds that is none is written as text."""
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a surrogate, which is no text
        text = json.dumps(event, default=str, skipkeys=True, ensure_ascii=False)
        return text.encode("utf-8", "replace").decode()
