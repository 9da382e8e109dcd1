"""Sample traffic in other formats: the same events, and what does not fit stays as it is."""

import pytest

from pipeline.errors import SettingsError
from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.sample import sample_events
from pipeline.sample.formats import FORMATS, rewritten
from pipeline.sample.produce import plan_traffic
from pipeline.settings import Events, Index


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_of_the_samples_becomes_the_same_event(name: str) -> None:
    builder = DocumentBuilder(Events(), Index())
    for event in sample_events(50, end_ms=1_795_428_930_000, span_seconds=60):
        place = Coordinates("logs", 0, 0, event.timestamp_ms)
        (as_guide,) = builder.documents(event.value, place, event.timestamp_ms)
        (document,) = builder.documents(rewritten(event.value, name), place, event.timestamp_ms)
        for field in ("@timestamp", "level", "message", "service", "trace_id"):
            assert document.fields.get(field) == as_guide.fields.get(field), (name, field)


def test_what_is_not_json_stays_as_it_is() -> None:
    assert rewritten(b"plain text", "pino") == b"plain text"


def test_an_unknown_format_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="--format = 'x': there are guide, pino"):
        plan_traffic(format_name="x")


def test_traffic_is_written_in_its_format() -> None:
    (event,) = plan_traffic(count=1, format_name="otlp").events(1_795_428_930_000)
    assert event.value.startswith(b'{"resourceLogs"')
