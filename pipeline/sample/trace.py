"""The log lines of one trace, written one after the other on the trace's own clock."""

from typing import Any, NamedTuple

from pipeline.sample.product import Product

__all__ = ["Origin", "Trace"]


class Origin(NamedTuple):
    """Where in the product a line is written."""

    service: str
    component: str


class Trace:
    """One story in the making: the ids that its lines share, its clock, and the lines so far."""

    __slots__ = ("integration_id", "lines", "now_ms", "product", "start_ms", "trace_id", "user_id")

    def __init__(
        self, product: Product, start_ms: int, user_id: str | None = None, integration_id: str | None = None
    ) -> None:
        self.product = product
        self.trace_id = f"{product.bits(128):032x}"
        self.user_id = user_id
        self.integration_id = integration_id
        self.start_ms = start_ms
        self.now_ms = start_ms
        self.lines: list[tuple[int, bytes]] = []

    def log(self, level: str, origin: Origin, message: str, context: dict[str, Any]) -> None:
        """Write a line now."""
        product = self.product
        context["version"] = product.version
        event = {
            "timestamp": None,
            "level": level,
            "service": origin[0],
            "component": origin[1],
            "trace_id": self.trace_id,
            "span_id": f"{product.bits(64):016x}",
            "user_id": self.user_id,
            "integration_id": self.integration_id,
            "message": message,
            "context": context,
        }
        self.lines.append((self.now_ms, product.lines.write(self.now_ms, event)))

    def log_timed(
        self, level: str, origin: Origin, message: str, since_ms: int, context: dict[str, Any]
    ) -> None:
        """Write a line now about what began at `since_ms`."""
        context["processing_time_ms"] = self.now_ms - since_ms
        self.log(level, origin, message, context)
