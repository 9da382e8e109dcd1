"""A dead letter and its parts, as text for people and as JSON for programs."""

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.cli.terminal import harmless
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.kafka.dead_letters import DeadLetter
    from pipeline.kafka.letter_marks import Mark

__all__ = ["bytes_as_text", "letter_as_json", "time_as_text"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def letter_as_json(
    letter: "DeadLetter", settings: Settings, mark: "Mark | None", *, whole: bool
) -> dict[str, Any]:
    """Give a letter for a program to read; `whole` adds the record's key, headers and bytes."""
    from pipeline.replay import services_of

    told: dict[str, Any] = {
        "id": letter.id,
        **letter.record._asdict(),
        "services": sorted(services_of(letter.value, settings.events)),
        "status": letter.status,
        "error_type": letter.error_type,
        "field": letter.field,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "element": letter.element,
        "state": "open" if mark is None else mark.kind,
        "note": "" if mark is None else mark.note,
    }
    if whole:
        told |= {
            "whole_bytes": letter.whole_bytes,
            "key": _bytes_as_json(letter.key),
            "headers": [[name, _bytes_as_json(content)] for name, content in letter.headers],
            "value": _bytes_as_json(letter.value),
        }
    return told


def _bytes_as_json(content: bytes | None) -> Any:
    """Give text as it is, other bytes as `{"base64": …}`."""
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def time_as_text(timestamp_ms: int) -> str:
    """Give a timestamp as UTC; a number that is no time as it is."""
    try:
        time = _EPOCH + timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return str(timestamp_ms)
    return time.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


def bytes_as_text(content: bytes) -> str:
    """Give text as text, anything else as base64."""
    try:
        return harmless(content.decode())
    except UnicodeDecodeError:
        return f"base64: {base64.b64encode(content).decode()}"
