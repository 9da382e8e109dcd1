"""What a worker says of its filters: counted each time, logged once a minute."""

import logging
from collections import Counter

import pytest

from pipeline.encode.filtering import Filtered
from pipeline.encode.own_functions import OwnFunctions
from pipeline.encode.run_filters import filtering_of
from pipeline.events.document import DocumentBuilder
from pipeline.kafka.ledger import Partition
from pipeline.settings import Settings
from pipeline.telemetry.metrics import Telemetry
from pipeline.worker.filters import Filters, filters_of

PARTITION = Partition("logs", 3)
SETTINGS = Settings(filters={"python": ["tests.encode.functions:enrich"]})
BUILDER = DocumentBuilder(SETTINGS.events, SETTINGS.index)


def test_exceptions_are_counted_each_time_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    telemetry, functions = Telemetry(), OwnFunctions(1.0)
    filtering = filtering_of(SETTINGS, BUILDER)
    assert filtering is not None
    filters = Filters(filtering, functions, telemetry, clock=lambda: now)
    caplog.set_level(logging.WARNING)
    for seconds, lines in ((0, 1), (30, 1), (59, 1), (60, 2), (100, 2), (121, 3)):
        now = float(seconds)
        failed = Filtered(failed=Counter({"date, line 3": 2}), samples={"date, line 3": "ValueError: no"})
        filters.count(PARTITION, [failed])
        assert len(caplog.records) == lines
    assert "ValueError: no" in caplog.text
    value = telemetry.registry.get_sample_value("logpipe_filter_exceptions_total", {"filter": "date, line 3"})
    assert value == 12


def test_what_is_dropped_is_an_outcome_of_its_partition() -> None:
    telemetry = Telemetry()
    filters = filters_of(SETTINGS, BUILDER, telemetry)
    assert filters is not None
    filters.count(PARTITION, [Filtered(Counter({"a": 2, "b": 1})), Filtered(Counter({"a": 1}))])
    sample = telemetry.registry.get_sample_value
    outcome = {"topic": "logs", "partition": "3", "outcome": "dropped"}
    assert sample("logpipe_documents_total", outcome) == 4
    assert sample("logpipe_documents_dropped_total", {"filter": "a"}) == 3


def test_slow_filters_are_given_fewer_records_at_a_time() -> None:
    filters = filters_of(SETTINGS, BUILDER, Telemetry())
    assert filters is not None
    first = filters.records
    for _ in range(5):
        filters.took(10.0)
    assert filters.records == 8
    for _ in range(3):
        filters.took(0.01)
    assert filters.records == 64 < first
    filters.took(0.3)
    assert filters.records == 64


def test_without_filters_there_is_nothing_to_count() -> None:
    assert filters_of(Settings(), BUILDER, Telemetry()) is None
