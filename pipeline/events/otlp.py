"""OTLP's logs, as JSON or as protobuf → flat events: a record's own fields, its attributes, resource and scope."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["OtlpUnavailableError", "is_log_request", "split_json", "split_protobuf"]


class OtlpUnavailableError(Exception):
    """The package that knows the protocol is not installed."""


def split_json(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield an event for each log record of an `ExportLogsServiceRequest` in JSON, in either spelling of its names."""
    for of_resource in _objects(_either(request, "resourceLogs", "resource_logs")):
        resource = of_resource.get("resource")
        attributes = _attributes(resource.get("attributes")) if type(resource) is dict else {}
        scopes = _either(of_resource, "scopeLogs", "scope_logs") or of_resource.get(
            "instrumentationLibraryLogs"
        )
        for of_scope in _objects(scopes):
            scope = of_scope.get("scope")
            of_it = _scope(scope) if type(scope) is dict else {}
            for record in _objects(_either(of_scope, "logRecords", "log_records")):
                yield _event(record, attributes, of_it)


_CAMEL = {
    "time_unix_nano": "timeUnixNano",
    "observed_time_unix_nano": "observedTimeUnixNano",
    "severity_number": "severityNumber",
    "severity_text": "severityText",
    "trace_id": "traceId",
    "span_id": "spanId",
}


def is_log_request(value: bytes) -> bool:
    """Tell whether bytes may be a request in protobuf: field 1, of a length that is there."""
    return value[:1] == b"\x0a" and len(value) > 1


def split_protobuf(value: bytes) -> list[dict[str, Any]]:
    """Give an event for each log record of an `ExportLogsServiceRequest` in protobuf.

    Raises ValueError for other bytes, and OtlpUnavailableError without the package opentelemetry-proto.
    """
    request = _parser()(value)
    events = []
    for of_resource in request.resource_logs:
        attributes = _pairs(of_resource.resource.attributes)
        for of_scope in of_resource.scope_logs:
            scope = of_scope.scope
            of_it = _scope(
                {"name": scope.name, "version": scope.version, "attributes": _pairs(scope.attributes)}
            )
            for record in of_scope.log_records:
                event: dict[str, Any] = {
                    "timeUnixNano": record.time_unix_nano or None,
                    "observedTimeUnixNano": record.observed_time_unix_nano or None,
                    "severityNumber": record.severity_number or None,
                    "severityText": record.severity_text or None,
                    "body": _any(record.body),
                    "attributes": _pairs(record.attributes),
                    "flags": record.flags or None,
                    "traceId": record.trace_id.hex() or None,
                    "spanId": record.span_id.hex() or None,
                    "eventName": getattr(record, "event_name", "") or None,
                }
                events.append(_placed(event, attributes, of_it))
    return events


def _parser() -> Callable[[bytes], Any]:
    try:
        module = importlib.import_module("opentelemetry.proto.collector.logs.v1.logs_service_pb2")
        errors = importlib.import_module("google.protobuf.message")
    except ImportError as error:
        raise OtlpUnavailableError from error

    def parse(value: bytes) -> Any:
        try:
            request = module.ExportLogsServiceRequest.FromString(value)
        except errors.DecodeError as error:
            raise ValueError(str(error)) from error
        if request.SerializeToString() == b"" or not any(
            of_scope.log_records
            for of_resource in request.resource_logs
            for of_scope in of_resource.scope_logs
        ):
            raise ValueError("no log records")
        return request

    return parse


def _event(record: dict[str, Any], resource: dict[str, Any], scope: dict[str, Any]) -> dict[str, Any]:
    """Make the event of a log record in JSON."""
    event: dict[str, Any] = {}
    for name, value in record.items():
        if name == "attributes":
            event[name] = _attributes(value)
        elif name == "body":
            event[name] = _value(value)
        else:
            event[_CAMEL.get(name, name)] = value
    return _placed(event, resource, scope)


def _placed(event: dict[str, Any], resource: dict[str, Any], scope: dict[str, Any]) -> dict[str, Any]:
    """Put what a log record is of beside it; leaves out what is empty."""
    if None in event.values() or {} in event.values():
        event = {name: value for name, value in event.items() if value is not None and value != {}}
    if resource:
        # Each of its records gets one of its own: what is taken out of one stays in the others.
        event["resource"] = dict(resource)
    if scope:
        event["scope"] = dict(scope)
        if "attributes" in scope:
            event["scope"]["attributes"] = dict(scope["attributes"])
    return event


def _scope(scope: dict[str, Any]) -> dict[str, Any]:
    attributes = scope.get("attributes")
    found = {name: scope[name] for name in ("name", "version") if scope.get(name)}
    if attributes:
        found["attributes"] = attributes if type(attributes) is dict else _attributes(attributes)
    return found


def _either(value: dict[str, Any], one: str, other: str) -> Any:
    return value.get(one, value.get(other))


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if type(each) is dict] if type(value) is list else []


def _attributes(pairs: Any) -> dict[str, Any]:
    """Read a list of `{"key": …, "value": …}`; an object is taken as it is."""
    if type(pairs) is dict:
        return pairs
    found = {}
    for pair in pairs if type(pairs) is list else ():
        if type(pair) is dict and type(key := pair.get("key")) is str:
            value = pair.get("value")
            # Nearly all are texts.
            text = value.get("stringValue") if type(value) is dict and len(value) == 1 else None
            found[key] = _value(value) if text is None else text
    return found


def _value(value: Any) -> Any:
    """Read an `AnyValue` in JSON."""
    if type(value) is not dict or len(value) != 1:
        return value
    ((kind, inner),) = value.items()
    kind = kind.replace("_v", "V")
    if (
        kind == "intValue"
        and type(inner) is str
        and inner.lstrip("-").isdigit()
        and len(inner) < len("-9223372036854775808") + 1
    ):
        return int(inner)
    if kind == "arrayValue" and type(inner) is dict:
        values = inner.get("values")
        return [_value(each) for each in values] if type(values) is list else []
    if kind == "kvlistValue" and type(inner) is dict:
        return _attributes(inner.get("values"))
    return inner if kind in {"stringValue", "boolValue", "doubleValue", "bytesValue", "intValue"} else value


def _pairs(pairs: Any) -> dict[str, Any]:
    return {pair.key: _any(pair.value) for pair in pairs}


def _any(value: Any) -> Any:
    """Read an `AnyValue` of protobuf."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_any(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return _pairs(value.kvlist_value.values)
    if kind == "bytes_value":
        return value.bytes_value.hex()
    return getattr(value, kind)
