"""What is left to do: in offsets to both positions, in seconds, and nothing that is not known any more."""

from prometheus_client import CollectorRegistry

from pipeline.kafka.ledger import Ledger, Partition
from pipeline.kafka.log_offsets import Ends
from pipeline.telemetry.metrics import LagGauges
from pipeline.worker.lag import Lag

P = Partition("logs", 0)
NOW_MS = 1_700_000_000_000
LABELS = {"topic": "logs", "partition": "0"}


class Measured:
    """The lag of one partition, as it would be scraped."""

    def __init__(self, committed: int) -> None:
        self.registry = CollectorRegistry()
        self.ledger = Ledger()
        self.lag = Lag(LagGauges(self.registry), self.ledger)
        self.ledger.begin(P, committed, committed=True)

    def show(self, end: int | None, position: int, at_seconds: float, readable: int | None = None) -> None:
        ends = {} if end is None else {P: Ends(end, end if readable is None else readable)}
        self.lag.show(ends, {P: position}, NOW_MS + int(at_seconds * 1000), at_seconds)

    def read(self, up_to: int, age_seconds: float) -> None:
        stamp = NOW_MS - int(age_seconds * 1000)
        self.ledger.deliver(P, up_to, 1, stamp)
        self.lag.read(P, stamp)

    def __getitem__(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"logpipe_consumer_{name}", LABELS)


def test_lag_counts_from_the_committed_and_unread_from_the_read_position() -> None:
    measured = Measured(committed=100)
    measured.read(140, age_seconds=20)
    measured.show(end=150, position=140, at_seconds=0)
    assert (measured["lag_records"], measured["unread_records"]) == (50, 10)


def test_what_an_open_transaction_keeps_back_cannot_be_read() -> None:
    measured = Measured(committed=100)
    measured.show(end=150, position=100, at_seconds=0, readable=100)
    assert (measured["lag_records"], measured["readable_lag_records"], measured["unread_records"]) == (
        50,
        0,
        0,
    )


def test_nothing_left_is_no_age() -> None:
    measured = Measured(committed=100)
    measured.show(end=100, position=100, at_seconds=0)
    assert (measured["lag_seconds"], measured["unread_seconds"]) == (0, 0)


def test_the_age_is_that_of_the_oldest_in_flight_even_when_all_is_read() -> None:
    measured = Measured(committed=100)
    measured.read(120, age_seconds=60)
    measured.read(140, age_seconds=5)
    measured.show(end=140, position=140, at_seconds=0)
    assert (measured["lag_seconds"], measured["unread_seconds"]) == (60, 0)


def test_in_a_backlog_the_next_record_is_as_old_as_the_one_before_it() -> None:
    measured = Measured(committed=100)
    measured.read(140, age_seconds=3600)
    measured.show(end=90_000, position=140, at_seconds=0)
    assert measured["unread_seconds"] == 3600
    # Nothing more is read: it grows older.
    measured.show(end=90_000, position=140, at_seconds=30)
    assert (measured["unread_seconds"], measured["lag_seconds"]) == (3630, 3630)


def test_what_comes_to_an_empty_partition_is_as_old_as_it_has_been_seen() -> None:
    measured = Measured(committed=100)
    measured.read(140, age_seconds=3600)
    measured.show(end=140, position=140, at_seconds=0)
    measured.show(end=141, position=140, at_seconds=5)
    assert measured["unread_seconds"] == 0
    measured.show(end=145, position=140, at_seconds=15)
    assert measured["unread_seconds"] == 10


def test_a_timestamp_that_cannot_be_true_is_no_age() -> None:
    measured = Measured(committed=100)
    measured.read(140, age_seconds=NOW_MS / 1000 - 5)
    measured.show(end=90_000, position=140, at_seconds=0)
    assert (measured["lag_seconds"], measured["unread_seconds"]) == (0, 0)


def test_without_kafka_numbers_vanish_and_ages_go_on() -> None:
    measured = Measured(committed=100)
    measured.read(140, age_seconds=10)
    measured.show(end=150, position=140, at_seconds=0)
    measured.show(end=None, position=140, at_seconds=25)
    assert measured["lag_records"] == 50
    measured.show(end=None, position=140, at_seconds=60)
    assert measured["lag_records"] is measured["readable_lag_records"] is measured["unread_records"] is None
    assert (measured["lag_seconds"], measured["unread_seconds"]) == (70, 70)


def test_without_kafka_nobody_says_that_nothing_is_left() -> None:
    measured = Measured(committed=100)
    measured.show(end=100, position=100, at_seconds=0)
    measured.show(end=None, position=100, at_seconds=60)
    assert [measured[name] for name in ("lag_records", "lag_seconds", "unread_seconds")] == [None] * 3
    measured.show(end=130, position=100, at_seconds=65)
    assert (measured["lag_records"], measured["unread_records"]) == (30, 30)


def test_a_partition_that_is_given_up_is_another_workers_to_show() -> None:
    measured = Measured(committed=100)
    measured.read(140, age_seconds=10)
    measured.show(end=150, position=140, at_seconds=0)
    measured.lag.forget([P])
    measured.show(end=None, position=140, at_seconds=5)
    assert [
        measured[name] for name in ("lag_records", "unread_records", "lag_seconds", "unread_seconds")
    ] == [None] * 4
