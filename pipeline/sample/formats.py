"""The same events as other loggers and shippers write them, each in its usual configuration.

What is not a field of the guide's format stays under its own name, so that a document has the same fields whatever
wrote the record.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

__all__ = ["FORMATS", "rewritten"]

_PINO_LEVELS = {"DEBUG": 20, "INFO": 30, "WARN": 40, "ERROR": 50}
_SYSLOG_LEVELS = {"DEBUG": 7, "INFO": 6, "WARN": 4, "ERROR": 3}
_OTEL_LEVELS = {"DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17}
_KUBERNETES = {
    "namespace_name": "claude-code-bot",
    "container_name": "app",
    "labels": {"app": "claude-code-bot", "app.kubernetes.io/part-of": "bot"},
}

Event = dict[str, Any]


def _milliseconds(event: Event) -> int:
    return round(datetime.fromisoformat(event["timestamp"]).timestamp() * 1000)


def _level(event: Event) -> str:
    return str(event.get("level", "INFO"))


def _rest(event: Event, *taken: str) -> Event:
    left_out = {"timestamp", "level", "message", *taken}
    return {name: value for name, value in event.items() if name not in left_out}


def _pino(event: Event) -> Event:
    return {
        "level": _PINO_LEVELS.get(_level(event), 30),
        "time": _milliseconds(event),
        "pid": 7,
        "hostname": "node-a1",
        "name": event.get("service"),
        **_rest(event, "service"),
        "msg": event.get("message"),
    }


def _bunyan(event: Event) -> Event:
    return {**_pino(event), "time": event["timestamp"], "v": 0}


def _zap(event: Event) -> Event:
    seconds = _milliseconds(event) / 1000
    return {
        "level": _level(event).lower(),
        "ts": seconds,
        "caller": "bot/main.go:42",
        "msg": event.get("message"),
        **_rest(event),
    }


def _zerolog(event: Event) -> Event:
    return {
        "level": _level(event).lower(),
        **_rest(event),
        "time": event["timestamp"],
        "message": event.get("message"),
    }


def _logrus(event: Event) -> Event:
    return {
        "level": _level(event).lower(),
        "msg": event.get("message"),
        **_rest(event),
        "time": event["timestamp"],
    }


def _slog(event: Event) -> Event:
    source = {"function": "main.run", "file": "bot/main.go", "line": 42}
    return {
        "time": event["timestamp"],
        "level": _level(event),
        "source": source,
        "msg": event.get("message"),
        **_rest(event),
    }


def _logstash_encoder(event: Event) -> Event:
    return {
        "@timestamp": event["timestamp"],
        "@version": "1",
        "message": event.get("message"),
        "logger_name": "bot.Main",
        "thread_name": "main",
        "level": _level(event),
        "level_value": 20000,
        **_rest(event),
    }


def _ecs(event: Event) -> Event:
    rest = _rest(event, "service", "trace_id", "span_id")
    return {
        "@timestamp": event["timestamp"],
        "log.level": _level(event).lower(),
        "message": event.get("message"),
        "ecs.version": "8.11.0",
        "service.name": event.get("service"),
        "trace.id": event.get("trace_id"),
        "span.id": event.get("span_id"),
        **rest,
    }


def _log4j2(event: Event) -> Event:
    second, millisecond = divmod(_milliseconds(event), 1000)
    return {
        "instant": {"epochSecond": second, "nanoOfSecond": millisecond * 1_000_000},
        "thread": "main",
        "level": _level(event),
        "loggerName": "bot.Main",
        "message": event.get("message"),
        "endOfBatch": False,
        "loggerFqcn": "org.apache.logging.log4j.spi.AbstractLogger",
        **_rest(event),
    }


def _structlog(event: Event) -> Event:
    return {
        **_rest(event),
        "event": event.get("message"),
        "level": _level(event).lower(),
        "timestamp": event["timestamp"],
    }


def _python_json_logger(event: Event) -> Event:
    return {
        "asctime": event["timestamp"].replace("T", " ").replace(".", ",").removesuffix("Z"),
        "levelname": _level(event),
        "name": "bot.main",
        "message": event.get("message"),
        **_rest(event),
    }


def _serilog(event: Event) -> Event:
    return {
        "@t": event["timestamp"],
        "@m": event.get("message"),
        "@l": {"WARN": "Warning", "INFO": "Information"}.get(_level(event), _level(event).capitalize()),
        "@tr": event.get("trace_id"),
        "@sp": event.get("span_id"),
        **_rest(event, "trace_id", "span_id"),
    }


def _gelf(event: Event) -> Event:
    return {
        "version": "1.1",
        "host": "node-a1",
        "short_message": event.get("message"),
        "timestamp": _milliseconds(event) / 1000,
        "level": _SYSLOG_LEVELS.get(_level(event), 6),
        **_rest(event),
    }


def _filebeat(event: Event) -> Event:
    return {
        "@timestamp": event["timestamp"],
        "@metadata": {"beat": "filebeat", "type": "_doc", "version": "9.1.5"},
        "log": {"offset": 4711, "file": {"path": "/var/log/containers/bot.log"}},
        "input": {"type": "filestream"},
        "ecs": {"version": "8.0.0"},
        "host": {"name": "node-a1"},
        "agent": {"type": "filebeat", "version": "9.1.5", "name": "node-a1"},
        "message": orjson.dumps(event).decode(),
    }


def _fluent_bit(event: Event) -> Event:
    return {
        "@timestamp": _milliseconds(event) / 1000,
        "time": event["timestamp"],
        "stream": "stdout",
        "_p": "F",
        "log": orjson.dumps(_zap(event)).decode(),
        "kubernetes": _KUBERNETES,
    }


def _fluentd(event: Event) -> Event:
    return {
        "log": orjson.dumps(event).decode() + "\n",
        "stream": "stdout",
        "docker": {"container_id": "3f4e5d6c7b8a9"},
        "kubernetes": _KUBERNETES,
        "tag": "kubernetes.bot",
        "time": event["timestamp"],
    }


def _vector(event: Event) -> Event:
    return {
        "file": "/var/log/bot.log",
        "host": "node-a1",
        "message": orjson.dumps(_slog(event)).decode(),
        "source_type": "file",
        "timestamp": event["timestamp"],
    }


def _docker(event: Event) -> Event:
    return {"log": orjson.dumps(event).decode() + "\n", "stream": "stdout", "time": event["timestamp"]}


def _kafka_connect(event: Event) -> Event:
    return {"schema": {"type": "struct", "optional": False, "name": "bot.Log"}, "payload": event}


def _otlp(event: Event) -> Event:
    attributes = {
        name: value
        for name, value in _rest(event, "service", "trace_id", "span_id").items()
        if name != "context"
    }
    record = {
        "timeUnixNano": str(_milliseconds(event) * 1_000_000),
        "severityNumber": _OTEL_LEVELS.get(_level(event), 9),
        "severityText": _level(event),
        "body": {"stringValue": event.get("message")},
        "attributes": [
            {"key": name, "value": {"stringValue": str(value)}} for name, value in attributes.items()
        ],
        "traceId": event.get("trace_id"),
        "spanId": event.get("span_id"),
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": event.get("service")}}]}
    scopes = [{"scope": {"name": "bot"}, "logRecords": [record]}]
    return {"resourceLogs": [{"resource": resource, "scopeLogs": scopes}]}


def _tracing(event: Event) -> Event:
    fields = {
        "message": event.get("message"),
        "service": event.get("service"),
        "trace_id": event.get("trace_id"),
    }
    rest = _rest(event, "service", "trace_id")
    return {
        "timestamp": event["timestamp"],
        "level": _level(event),
        "fields": fields,
        "target": "bot::main",
        **rest,
    }


FORMATS: dict[str, Callable[[Event], Event]] = {
    "guide": lambda event: event,
    "pino": _pino,
    "bunyan": _bunyan,
    "zap": _zap,
    "zerolog": _zerolog,
    "logrus": _logrus,
    "slog": _slog,
    "logstash-encoder": _logstash_encoder,
    "ecs": _ecs,
    "log4j2": _log4j2,
    "structlog": _structlog,
    "python-json-logger": _python_json_logger,
    "serilog": _serilog,
    "gelf": _gelf,
    "tracing": _tracing,
    "filebeat": _filebeat,
    "fluent-bit": _fluent_bit,
    "fluentd": _fluentd,
    "vector": _vector,
    "docker": _docker,
    "kafka-connect": _kafka_connect,
    "otlp": _otlp,
}
"""Each format by its name: an event of the guide's format to the object that is logged instead."""


def rewritten(value: bytes, name: str) -> bytes:
    """Write a line of the guide's format in another; a line that is not in the guide's stays as it is."""
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    if type(event) is not dict or type(event.get("timestamp")) is not str:
        return value
    return orjson.dumps(FORMATS[name](event))
