"""The picture of a record's way, from the application's log to an answered document."""

from docs.source.svg import Box, arrow, box, frame, label, picture

__all__ = ["record_picture"]

_WIDTH, _HEIGHT = 880, 330


def record_picture() -> str:
    """Draw the way of a record, as SVG."""
    logs = Box(16, 60, 116, 62)
    kafka = Box(164, 60, 128, 62)
    worker = Box(322, 22, 392, 208)
    source = Box(340, 60, 104, 62)
    encode = Box(466, 60, 104, 62)
    bulk = Box(592, 60, 104, 62)
    ledger = Box(340, 158, 104, 54)
    metrics = Box(466, 158, 104, 54)
    elasticsearch = Box(746, 60, 118, 62)
    dead = Box(164, 256, 128, 54)
    prometheus = Box(454, 256, 128, 54)
    return picture(
        _WIDTH,
        _HEIGHT,
        "The way of a record: from Kafka through a worker into an Elasticsearch index of its day",
        [
            frame(worker, "a worker: one process, one event loop"),
            box(logs, "your services", ["JSON lines, or", "Filebeat's envelope"], quiet=True),
            box(kafka, "Kafka", ["claude-code-bot.logs"], quiet=True),
            box(source, "kafka", ["reads batches"]),
            box(encode, "encode", ["one decode,", "one encode"]),
            box(bulk, "bulk", ["sends, retries,", "settles each"]),
            box(elasticsearch, "Elasticsearch", ["an index a day,", "ids of the records"], quiet=True),
            box(ledger, "ledger", ["what is settled"]),
            box(metrics, "log metrics", ["counted by rules"]),
            box(dead, "Kafka", ["dead letters"], quiet=True),
            box(prometheus, "Prometheus", ["/metrics, /health"], quiet=True),
            arrow(logs.right, kafka.left),
            arrow(kafka.right, source.left),
            arrow(source.right, encode.left),
            arrow(encode.right, bulk.left),
            arrow(bulk.right, elasticsearch.left),
            # Answered documents: from the writer to the ledger, and from there the commit.
            arrow((644, 122), (644, 138), (392, 138), ledger.top),
            label(584, 134, "answered", anchor="end"),
            arrow(ledger.left, (228, 185), kafka.bottom),
            label(236, 177, "commit"),
            arrow((518, 122), metrics.top),
            arrow(metrics.bottom, prometheus.top),
            # What Elasticsearch refuses goes back to Kafka, byte for byte.
            arrow((670, 122), (670, 244), (228, 244), dead.top),
            label(664, 222, "refused", anchor="end"),
        ],
    )
