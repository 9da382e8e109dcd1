"""PromQL that several panels are made of."""

__all__ = [
    "DATABASE_TIME",
    "FAILED",
    "FAILURES",
    "FROM_LOGS",
    "LATENCY",
    "REQUESTS",
    "increase",
    "quantile",
    "rate",
    "share",
    "total",
]

FAILED = 'status=~"5.."'
"""Responses that the service is to blame for."""

_RATE_WINDOW = "$__rate_interval"
"""Grafana's: at least four scrapes, and not less than the distance of two points of the graph."""

_WHOLE_RANGE = "$__range"


def rate(metric: str, *matchers: str, window: str = _RATE_WINDOW) -> str:
    """Give how much a counter grows in a second, series by series."""
    return f"rate({metric}{_selector(matchers)}[{window}])"


def increase(metric: str, *matchers: str, window: str = _WHOLE_RANGE) -> str:
    """Give by how much a counter has grown in the window: by default, in the time shown.

    PromQL's own increase() does not see what a series begins with, which is everything where something rare is
    counted. A series that was not there at the start of the window therefore counts with its value.
    """
    counter = f"{metric}{_selector(matchers)}"
    return f"({counter} unless {counter} offset {window} or increase({counter}[{window}]))"


def total(of: str, *by: str) -> str:
    """Add up the series, apart by these labels."""
    return f"sum{_by(by)} ({of})" if by else f"sum({of})"


def share(part: str, whole: str, *by: str) -> str:
    """Give which part of the whole, 0 to 1; nothing without a whole, 0 where the part has no series yet."""
    everything = total(whole, *by)
    return f"({total(part, *by)} or 0 * {everything}) / ({everything} > 0)"


def quantile(
    which: float,
    histogram: str,
    *matchers: str,
    by: tuple[str, ...] = (),
    window: str = _RATE_WINDOW,
    ago: str = "",
) -> str:
    """Estimate a quantile from a histogram's buckets, added up over whatever `by` does not name."""
    offset = f" offset {ago}" if ago else ""
    buckets = f"rate({histogram}_bucket{_selector(matchers)}[{window}]{offset})"
    return f"histogram_quantile({which}, {total(buckets, 'le', *by)})"


def _selector(matchers: tuple[str, ...]) -> str:
    return f"{{{', '.join(matchers)}}}" if matchers else ""


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})"


FROM_LOGS = "From the logs, by the pipeline's rules."
"""The source of whatever the services do not expose themselves."""

LATENCY = "http_request_duration_seconds"
DATABASE_TIME = "database_query_duration_seconds"
REQUESTS = rate("http_requests_total")
FAILURES = rate("http_requests_total", FAILED)
