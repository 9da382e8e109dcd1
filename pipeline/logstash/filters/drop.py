"""`drop`: the event ends here, as an outcome that is counted."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Inline, Origin, Site

if TYPE_CHECKING:
    from pipeline.logstash.source import Source

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "percentage": Option(
        "number",
        100,
        status="differs",
        note="Which events go is taken from the record's coordinates, so that a replay drops the same ones.",
    ),
}
_WHOLE: Final = 100


def build(given: Given, site: Site) -> Inline:
    """Drop each event, or the share of them that `percentage` says."""
    percentage = float(given["percentage"])

    def emit(source: "Source") -> None:
        if percentage >= _WHOLE:
            _emit_drop(source, site.label)
            return
        chance = source.constant(lambda origin: _chance(origin, site.label) < percentage, "drawn")
        with source.block(f"if {chance}(origin):"):
            _emit_drop(source, site.label)

    return Inline(emit, drops=True)


def _emit_drop(source: "Source", label: str) -> None:
    source.line(f"outcomes.drop(origin, {label!r})")
    source.line("continue")


def _chance(origin: Origin, label: str) -> float:
    """Draw a number from 0 to 100 that is always the same for a record and a filter."""
    seed = f"{origin.topic}/{origin.partition}/{origin.offset}/{origin.timestamp_ms}/{label}"
    return int.from_bytes(blake2b(seed.encode(), digest_size=6).digest()) / (1 << 48) * _WHOLE
