"""Where a figure turns from good to bad: the guide's objectives, and the thresholds of its alerts."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models.dashboard import Threshold, ThresholdsMode

__all__ = [
    "ANY_IS_BAD",
    "AVAILABILITY",
    "CLAUDE_REQUESTS_LEFT",
    "CONNECTIONS",
    "DISK",
    "ERROR_RATIO",
    "GITHUB_REQUESTS_LEFT",
    "IS_UP",
    "LATENCY_OBJECTIVES",
    "P50",
    "P95",
    "P99",
    "REQUEST_RATE",
    "SUCCESS_RATIO",
    "UTILISATION",
    "Limits",
]


class Limits:
    """A colour, and from which value on it is another one."""

    def __init__(self, colour: str, *changes: tuple[float, str]) -> None:
        self._steps = [Threshold(value=None, color=colour)]
        self._steps += [Threshold(value=value, color=changed) for value, changed in changes]

    def config(self) -> ThresholdsConfig:
        """Give the limits as a panel takes them."""
        return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(self._steps)


# Availability objective: 99.9 % of a month, 99.95 % in business hours.
AVAILABILITY: Final = Limits("red", (0.999, "yellow"), (0.9995, "green"))
# Latency objectives in seconds; P95 above 2 s is the alert HighResponseTime.
P50: Final = Limits("green", (0.1, "red"))
P95: Final = Limits("green", (0.5, "yellow"), (2, "red"))
P99: Final = Limits("green", (1, "red"))
LATENCY_OBJECTIVES: Final = Limits("transparent", (0.1, "green"), (0.5, "yellow"), (1, "red"))
# Error objective; above 5 % is the alert HighErrorRate.
ERROR_RATIO: Final = Limits("green", (0.01, "yellow"), (0.05, "red"))
SUCCESS_RATIO: Final = Limits("red", (0.95, "yellow"), (0.99, "green"))
# Throughput objectives: normal load, peak load, burst capacity.
REQUEST_RATE: Final = Limits("green", (100, "yellow"), (500, "orange"), (1000, "red"))

IS_UP: Final = Limits("red", (1, "green"))
ANY_IS_BAD: Final = Limits("green", (1, "red"))
UTILISATION: Final = Limits("green", (0.8, "yellow"), (0.9, "red"))
CONNECTIONS: Final = Limits("green", (0.7, "yellow"), (0.9, "red"))
DISK: Final = Limits("green", (0.8, "yellow"), (0.85, "red"))
# Below 100 is the alert ExternalAPIRateLimit. GitHub allows an installation at least 5,000 requests an hour.
CLAUDE_REQUESTS_LEFT: Final = Limits("red", (100, "yellow"), (500, "green"))
GITHUB_REQUESTS_LEFT: Final = Limits("red", (100, "yellow"), (1000, "green"))
