"""The picture of the traces: from the logs to the summary of a trace."""

from docs.source.svg import Box, arrow, box, frame, label, picture

__all__ = ["traces_picture"]

_WIDTH, _HEIGHT = 880, 300


def traces_picture() -> str:
    """Draw the way of trace events, as SVG."""
    logs = Box(16, 60, 116, 62)
    worker = Box(164, 60, 130, 62)
    topic = Box(336, 60, 130, 62)
    correlator = Box(506, 22, 226, 208)
    held = Box(524, 60, 190, 62)
    written = Box(524, 158, 190, 54)
    summaries = Box(762, 146, 104, 78)
    events = Box(164, 218, 130, 62)
    prometheus = Box(336, 218, 130, 62)
    return picture(
        _WIDTH,
        _HEIGHT,
        "The way of a trace: events to the worker, trace events through Kafka to the correlator, one summary",
        [
            frame(correlator, "logpipe traces: Faust"),
            box(logs, "Kafka", ["logs"], quiet=True),
            box(worker, "a worker", ["by columns, after", "decoding"]),
            box(topic, "Kafka", ["trace-events,", "by trace id"], quiet=True),
            box(held, "open traces", ["as bytes, until quiet"]),
            box(written, "fold, summarise", ["create, or add to it"]),
            box(summaries, "traces-…", ["one summary", "for each trace"], quiet=True),
            box(events, "Elasticsearch", ["the events, as ever"], quiet=True),
            box(prometheus, "Prometheus", ["durations, outcomes"], quiet=True),
            arrow(logs.right, worker.left),
            arrow(worker.right, topic.left),
            arrow(topic.right, held.left),
            arrow(held.bottom, written.top),
            arrow(written.right, summaries.left),
            arrow(worker.bottom, events.top),
            arrow((560, 212), (560, 249), prometheus.right),
            # Acknowledged only when no open trace needs the record.
            arrow((640, 158), (640, 140), (401, 140), topic.bottom),
            label(414, 156, "acknowledge, in order"),
        ],
    )
