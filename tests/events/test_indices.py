"""Which index an event belongs to: Kafka's timestamp as a witness, and the bounds that hold whatever is sent."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from pipeline.encode.fast_path import BatchEncoder, Payload
from pipeline.events.document import DocumentBuilder
from pipeline.events.indices import AHEAD_MS, DAY_MS, EARLIEST_MS, Indices
from pipeline.settings import Events, Index, Settings
from tests.events.both_paths import TOPIC, Record, transform_all, transform_one

HOUR_MS = 3_600_000
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
TODAY = "claude-code-bot-2026.11.28"
EVENT: dict[str, Any] = {"timestamp": "2026-11-28T11:59:58.250Z", "level": "info", "message": "m"}
NO_TIME: dict[str, Any] = {"level": "info", "message": "m"}

IMPLAUSIBLE = {
    "none": -1,
    "zero": 0,
    "in seconds": NOW_MS // 1000,
    "before 2000": EARLIEST_MS - 1,
    "two days ahead": NOW_MS + 2 * DAY_MS,
    "the year 9999": 253_402_300_799_000,
    "in microseconds": NOW_MS * 1000,
    "the largest number": 2**63 - 1,
    "the smallest number": -(2**63),
}
implausible = pytest.mark.parametrize("at_ms", IMPLAUSIBLE.values(), ids=IMPLAUSIBLE)


def stamp(**ago: float) -> str:
    return (NOW - timedelta(**ago)).isoformat().replace("+00:00", "Z")


@implausible
def test_an_implausible_kafka_timestamp_is_no_reference(at_ms: int) -> None:
    indexed = transform_one(EVENT, at_ms=at_ms, now_ms=NOW_MS)
    assert indexed.index_name == TODAY
    assert indexed.document["@timestamp"] == "2026-11-28T11:59:58.250Z"
    assert indexed.document["tags"] == ["_kafkatimestampimplausible"]
    assert indexed.id == f"logs-3-000000000007-{at_ms}"


@implausible
def test_without_any_plausible_time_an_event_is_undated_and_found_when_it_was_read(at_ms: int) -> None:
    indexed = transform_one(NO_TIME, at_ms=at_ms, now_ms=NOW_MS)
    assert indexed.index_name == "claude-code-bot-undated"
    assert indexed.document["@timestamp"] == "2026-11-28T12:00:00.000Z"
    assert indexed.document["tags"] == ["_kafkatimestampimplausible"]


@pytest.mark.parametrize(
    ("own", "index"),
    [
        (stamp(days=90), "claude-code-bot-2026.08.30"),
        (stamp(days=90, seconds=1), "claude-code-bot-undated"),
        (stamp(days=-1), "claude-code-bot-2026.11.29"),
        (stamp(days=-1, seconds=-1), "claude-code-bot-undated"),
        ("1970-01-01T00:00:01Z", "claude-code-bot-undated"),
        ("9999-12-31T00:00:00Z", "claude-code-bot-undated"),
    ],
)
@pytest.mark.parametrize("name", ["timestamp", "@timestamp"])
def test_beside_an_implausible_kafka_timestamp_the_window_is_around_the_clock(
    name: str, own: str, index: str
) -> None:
    indexed = transform_one({**NO_TIME, name: own}, at_ms=-1, now_ms=NOW_MS)
    assert indexed.index_name == index
    out_of_range = ["_timestampoutofrange"] if index.endswith("undated") else []
    assert indexed.document["tags"] == [*out_of_range, "_kafkatimestampimplausible"]


@pytest.mark.parametrize("at_ms", [EARLIEST_MS, NOW_MS, NOW_MS + DAY_MS])
def test_a_plausible_kafka_timestamp_has_no_tag(at_ms: int) -> None:
    tags = transform_one(NO_TIME, at_ms=at_ms, now_ms=NOW_MS).document.get("tags", [])
    assert "_kafkatimestampimplausible" not in tags


def test_every_event_of_an_array_is_tagged() -> None:
    made = transform_all(orjson.dumps([EVENT, NO_TIME, EVENT]), at_ms=-1, now_ms=NOW_MS)
    assert [one.index_name for one in made] == [TODAY, "claude-code-bot-undated", TODAY]
    assert all(one.document["tags"] == ["_kafkatimestampimplausible"] for one in made)


@pytest.mark.parametrize(
    ("ago", "index"),
    [
        (96, "claude-code-bot-2026.08.24"),
        (97, "claude-code-bot-overflow"),
        (9000, "claude-code-bot-overflow"),
    ],
)
def test_days_that_may_not_be_opened_any_more_overflow(ago: int, index: str) -> None:
    made = transform_one({**EVENT, "timestamp": stamp(days=ago)}, at_ms=NOW_MS - ago * DAY_MS, now_ms=NOW_MS)
    assert made.index_name == index
    assert made.document["@timestamp"] == stamp(days=ago).replace("Z", ".000Z")
    assert made.document.get("tags", []) == (["_indexoverflow"] if index.endswith("overflow") else [])


def test_the_days_that_may_be_open_are_a_setting() -> None:
    indices = Indices(Index(max_open_days=200), Events())
    assert indices.choose(None, NOW_MS - 150 * DAY_MS, NOW_MS).name == "claude-code-bot-2026.07.01"


def test_behind_the_write_alias_all_have_one_place() -> None:
    indices = Indices(Index(roll="ilm"), Events())
    for own, at_ms in ((None, -1), (0, -1), (0, NOW_MS), (None, EARLIEST_MS)):
        choice = indices.choose(own, at_ms, NOW_MS)
        assert choice.name == "claude-code-bot"
        assert not choice.overflow


def test_no_input_opens_more_days_within_a_day_than_the_setting_allows() -> None:
    indices = Indices(Index(), Events())
    names = {
        indices.choose(own_ms, record_ms, now_ms).name
        for now_ms in (NOW_MS, NOW_MS + 11 * HOUR_MS, NOW_MS + 13 * HOUR_MS, NOW_MS + 24 * HOUR_MS)
        for record_ms in (-1, *range(EARLIEST_MS, now_ms + AHEAD_MS + DAY_MS, DAY_MS // 2))
        for ahead in (None, 0, 1, -1, 45, -45, -90, 90, 400, -400)
        for own_ms in (None if ahead is None else record_ms + ahead * DAY_MS,)
    }
    dated = names - {"claude-code-bot-undated", "claude-code-bot-overflow"}
    assert len(dated) == 100
    assert {"claude-code-bot-undated", "claude-code-bot-overflow"} <= names


any_time = (
    st.integers(NOW_MS - 400 * DAY_MS, NOW_MS + 400 * DAY_MS)
    | st.integers(EARLIEST_MS - DAY_MS, NOW_MS)
    | st.sampled_from([-1, 0, 2**62, -(2**62)])
)


@given(st.none() | any_time, any_time, st.integers(0, 300 * DAY_MS))
@hypothesis_settings(max_examples=20 * hypothesis_settings().max_examples)
def test_a_replay_finds_the_same_index_unless_its_day_is_gone_or_a_time_ahead_has_come(
    own_ms: int | None, record_ms: int, later: int
) -> None:
    events = Events()
    indices = Indices(Index(), events)
    first = indices.choose(own_ms, record_ms, NOW_MS)
    again = indices.choose(own_ms, record_ms, NOW_MS + later)
    if first.name == again.name:
        return
    if first.name == indices.undated:
        assert record_ms > NOW_MS + AHEAD_MS or (own_ms or 0) > NOW_MS + indices.newest_ms
    else:
        day = datetime.strptime(first.name, "claude-code-bot-%Y.%m.%d").replace(tzinfo=UTC)
        # The lifecycle counts from the beginning of the day.
        assert day.timestamp() * 1000 < NOW_MS + later - (events.retention_days - 1) * DAY_MS


# --- a batch --------------------------------------------------------------------------------------------


class TypedRecord(NamedTuple):
    """A record that says whose clock its timestamp is of."""

    offset: int
    timestamp: int
    value: bytes
    timestamp_type: int


def encode(records: list[Any], now_ms: int = NOW_MS) -> tuple[Payload, list[str]]:
    (payload,) = BatchEncoder(DocumentBuilder(Events(), Index())).encode(TOPIC, 3, records, now_ms)
    actions = payload.body.splitlines()[::2]
    return payload, [orjson.loads(action)["create"]["_index"] for action in actions]


def test_a_batch_counts_what_is_implausible_undated_and_overflowing() -> None:
    old = {**EVENT, "timestamp": stamp(days=200)}
    records = [
        Record(offset, at_ms, orjson.dumps(event))
        for offset, (at_ms, event) in enumerate(
            [(NOW_MS, EVENT), (-1, EVENT), (-1, NO_TIME), (-1, [NO_TIME, NO_TIME]), (NOW_MS, EVENT)]
            + [(NOW_MS - 200 * DAY_MS, old)] * 2
        )
    ]
    payload, names = encode(records)
    assert (payload.documents, payload.implausible, payload.undated, payload.overflow) == (8, 3, 3, 2)
    assert names == [TODAY] * 2 + ["claude-code-bot-undated"] * 3 + [TODAY] + ["claude-code-bot-overflow"] * 2
    assert payload.record_ms == NOW_MS


def test_latency_is_not_measured_from_an_implausible_timestamp() -> None:
    payload, _ = encode([Record(0, -1, orjson.dumps(EVENT)), Record(1, NOW_MS, orjson.dumps(EVENT))])
    assert payload.record_ms is None


@pytest.mark.parametrize(("timestamp_type", "number"), [(0, 1), (1, 0)])
def test_the_brokers_own_append_time_is_plausible_whatever_the_workers_clock_says(
    timestamp_type: int, number: int
) -> None:
    record = TypedRecord(0, NOW_MS, orjson.dumps(EVENT), timestamp_type)
    payload, _ = encode([record], NOW_MS - 30 * DAY_MS)
    assert payload.implausible == number


def test_a_worker_that_runs_for_months_keeps_to_the_days_that_are_open() -> None:
    encoder = BatchEncoder(DocumentBuilder(Events(), Index()))
    record = Record(0, NOW_MS, orjson.dumps(EVENT))
    names = []
    for day in (0, 96, 97, 98):
        (payload,) = encoder.encode(TOPIC, 3, [record], NOW_MS + day * DAY_MS)
        names.append(orjson.loads(payload.body.splitlines()[0])["create"]["_index"])
    assert names == [TODAY, TODAY, "claude-code-bot-overflow", "claude-code-bot-overflow"]


# --- the settings ---------------------------------------------------------------------------------------


def test_fewer_days_than_can_arrive_within_one_are_refused() -> None:
    Settings(index=Index(max_open_days=94))
    with pytest.raises(ValueError, match=r"index.max_open_days = 93 is too small: .* events of 94 days"):
        Settings(index=Index(max_open_days=93))
    with pytest.raises(ValueError, match=r"events.retention_days = 365"):
        Settings(events=Events(retention_days=365))
    Settings(events=Events(retention_days=365), index=Index(max_open_days=369))
    Settings(events=Events(retention_days=365), index=Index(roll="ilm"))
