"""What a worker's log holds after a night: few lines, with the numbers of its metrics."""

import logging

import pytest
from aiokafka.errors import KafkaConnectionError

from pipeline.bulk.dead_letter_lines import DeadLetterLines
from pipeline.events.document import Coordinates
from pipeline.kafka.client_log import AiokafkaLines
from pipeline.kafka.dead_letters import DeadLetter
from pipeline.kafka.ledger import Ledger, Partition
from pipeline.telemetry.metrics import Telemetry
from pipeline.telemetry.troubles import COMMITS_AGAIN, KAFKA, Trouble
from pipeline.worker.own_log import WorkerLog

AWAY = Trouble(KAFKA, "Kafka at k:9092 does not answer", "Kafka answers again", counted=COMMITS_AGAIN)
OTHERS = [
    Trouble(key, f"{key} wrong", f"{key} right", part_of=KAFKA)
    for key in ("commits", "trace events", "dead letters")
]
UNABLE = "Unable connect to node with id %s: %s"


class Night:
    """A worker's log, second by second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wrong: list[Trouble] = []
        self.telemetry = Telemetry()
        self.ledger = Ledger()
        self.letters = DeadLetterLines()
        self.log = WorkerLog(
            self.telemetry, self.ledger, self.letters, lambda: self.wrong, clock=lambda: self.now
        )

    def play(self, seconds: int, *wrong: Trouble) -> None:
        self.wrong = list(wrong)
        for _ in range(seconds):
            self.now += 1
            self.log.look()


def test_sixteen_minutes_without_kafka_are_under_sixty_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    night = Night()
    library = logging.getLogger("aiokafka.of.this.test")
    lines = AiokafkaLines(lambda: night.now)
    lines.folded = True
    library.addFilter(lines)
    night.telemetry.consumed.labels("t", "0").inc(1000)
    night.telemetry.documents.labels("t", "0", "indexed").inc(1000)
    night.play(70)
    for _ in range(960):
        night.telemetry.commit_failures.inc()
        for _ in range(10):
            library.error(UNABLE, 1, KafkaConnectionError("refused"))
        night.play(1, AWAY, *OTHERS)
    night.play(60)
    night.log.end()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) < 20
    assert not [line for line in told if "wrong" in line or "Unable" in line]
    assert "Kafka answers again, after 15 min 59 s. 959 commits were tried again. Nothing was lost." in told
    assert (
        told[-1] == "ended after 18 min 10 s: 1,000 events read, 1,000 indexed. 960 commits were tried again."
    )


def test_dead_letters_progress_and_what_is_lost_come_from_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    night = Night()
    night.ledger.begin(Partition("t", 0), 0, committed=True)
    night.ledger.deliver(Partition("t", 0), 600, 600)
    night.telemetry.consumed.labels("t", "0").inc(600)
    night.telemetry.lag.records.labels("t", "0").set(600)
    letter = DeadLetter(Coordinates("t", 0, 7, 1000), None, b"", (), "odd", "why", "", 400, 1)
    night.play(30, AWAY)
    night.telemetry.expired.labels("t", "0").inc(5)
    night.letters.note(letter, "i")
    night.play(40)
    night.letters.note(letter, "i")
    night.log.end()
    told = [record.getMessage() for record in caplog.records]
    assert [line.split(",")[0].split(":")[0] for line in told] == [
        "Kafka at k",
        "dead letter",
        "Kafka answers again",
        "10/s read",
        "dead letter",
        "ended after 1 min 10 s",
    ]
    assert "5 records were lost." in told[2]
    assert told[3] == "10/s read, 0/s settled; lag 600; 600 in flight"
    assert "600 records are read again by the worker that comes next" in told[-1]
