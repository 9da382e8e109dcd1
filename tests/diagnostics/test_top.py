"""`logpipe top`: what recorded metrics say, and how it fits into a terminal."""

import asyncio
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.cli.top_screen import draw, sparkline
from pipeline.diagnostics.top import History, Reading, View, read_metrics
from tests.logpipe import logpipe, running
from tests.own_pipeline import Pipeline

METRICS = Path(__file__).parent / "metrics"
# Both of one run, ten seconds apart: before and while 60,000 events came.
QUIET = read_metrics((METRICS / "quiet.txt").read_text(), 100.0)
BUSY = read_metrics((METRICS / "busy.txt").read_text(), 110.0)


def seen(*readings: Reading) -> View:
    history = History()
    for reading in readings:
        history.add(reading)
    return history.view()


def changed(reading: Reading, at: float, name: str, value: float, **labels: str) -> Reading:
    one = {tuple(sorted(labels.items())): value}
    return Reading(at, {**reading.series, name: {**reading.series.get(name, {}), **one}})


def drawn(
    view: View, width: int = 80, height: int = 24, *, problem: str = "", plain: bool = False
) -> list[str]:
    file = StringIO()
    console = Console(file=file, width=width, no_color=True, highlight=False)
    console.print(draw(view, title="http://h:8000", problem=problem, width=width, height=height, plain=plain))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_single_reading_has_totals_and_no_rates() -> None:
    view = seen(QUIET)
    assert view.ready
    assert view.dependencies == {"kafka": True, "elasticsearch": True, "dead_letters": True}
    assert (view.lag, view.eta_seconds, view.documents_per_second) == (0, 0.0, 0.0)
    assert view.retries == {"item_500": (53, 0.0)}
    assert len(view.partitions) == 4
    assert [error.new for error in view.errors if error.new] == []


@pytest.mark.parametrize(
    ("moved", "in_flight", "said"),
    [(0, 5, True), (1, 5, False), (0, 0, False)],
    ids=["stuck", "slow", "idle"],
)
def test_a_worker_that_is_stuck_beside_others_is_named(moved: int, in_flight: int, said: bool) -> None:
    def reading(at: float, *indexed: float) -> Reading:
        one = Reading(at, {})
        for worker, (when, records) in enumerate(zip(indexed, (5, in_flight), strict=True)):
            number = str(worker)
            one = changed(one, at, "logpipe_last_indexed_timestamp_seconds", when, worker=number)
            one = changed(one, at, "logpipe_in_flight_records", records, worker=number)
        return one

    view = seen(reading(100, 1060, 1000), reading(110, 1090, 1000 + moved))
    assert view.in_flight_records == 5 + in_flight
    assert view.behind_others == ({"1": 90.0} if said else {})
    assert ("indexes nothing while others do: worker 1 for 1 min 30 s" in drawn(view)) == said


def test_two_readings_tell_rates_and_what_is_new() -> None:
    view = seen(QUIET, BUSY)
    gained = BUSY.total("logpipe_documents_consumed_total") - QUIET.total("logpipe_documents_consumed_total")
    assert gained > 0
    assert view.documents_per_second == gained / 10
    assert view.lag == 3351 + 3336 + 3324 + 3458
    assert view.lag_grows
    assert view.eta_seconds is None
    assert view.errors[0].new > 0
    assert view.seconds_a_request is not None


def test_the_eta_is_that_of_the_lag_as_it_falls() -> None:
    assert seen(BUSY, Reading(115.0, BUSY.series)).eta_seconds is None
    half = {labels: value / 2 for labels, value in BUSY.series["logpipe_consumer_lag_records"].items()}
    falling = Reading(120.0, {**BUSY.series, "logpipe_consumer_lag_records": half})
    assert seen(BUSY, falling).eta_seconds == pytest.approx(10.0, abs=0.01)


def without_lag(reading: Reading, at: float, *partitions: str) -> Reading:
    """Take the lag of partitions away, as a worker does once Kafka has not told it for a while."""
    lags = {
        labels: value
        for labels, value in reading.series["logpipe_consumer_lag_records"].items()
        if dict(labels)["partition"] not in partitions
    }
    return Reading(at, {**reading.series, "logpipe_consumer_lag_records": lags})


def test_a_lag_that_nobody_knows_is_not_0() -> None:
    view = seen(BUSY, without_lag(BUSY, 120.0, "0", "1", "2", "3"))
    assert (view.lag, view.lag_unknown, view.eta_seconds, view.lag_grows) == (None, 4, None, False)
    text = "\n".join(drawn(view))
    assert "lag unknown" in text
    assert "?" in text


def test_a_lag_that_is_known_of_some_partitions_says_so() -> None:
    view = seen(BUSY, without_lag(BUSY, 120.0, "0"))
    assert (view.lag_unknown, view.eta_seconds, view.lag_grows) == (1, None, False)
    assert f"lag {view.lag:,} and unknown of 1 partitions" in "\n".join(drawn(view))


def test_a_counter_that_began_anew_gives_no_negative_rate() -> None:
    assert seen(BUSY, Reading(120.0, QUIET.series)).documents_per_second >= 0


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 24), (120, 50), (40, 10), (20, 24)])
def test_the_screen_fits_into_the_terminal(width: int, height: int) -> None:
    lines = drawn(seen(QUIET, BUSY), width, height, problem="Elasticsearch does not answer")
    assert max(map(len, lines)) <= width
    assert len(lines) <= height


def test_in_80_columns_everything_of_an_incident_is_on_the_screen() -> None:
    troubled = changed(BUSY, 120.0, "logpipe_ready", 0.0)
    troubled = changed(troubled, 120.0, "logpipe_dependency_up", 0.0, dependency="elasticsearch")
    troubled = changed(
        troubled, 120.0, "logpipe_index_waiting_documents", 1200.0, index="claude-code-bot-2026.11.28"
    )
    troubled = changed(
        troubled, 120.0, "logpipe_dead_letters_total", 7.0, error_type="mapper_parsing_exception"
    )
    troubled = changed(troubled, 120.0, "logpipe_workers_up", 1.0)
    troubled = changed(troubled, 120.0, "logpipe_workers", 2.0)
    text = "\n".join(drawn(seen(QUIET, BUSY, troubled), problem="Elasticsearch does not answer"))
    for part in (
        "not ready",
        "elasticsearch away",
        "workers 1/2",
        "Elasticsearch does not answer",
        "13,469 (growing)",
        "slow 1x",
        "item 500 53",
        "claude-code-bot-2026.11.28 1,200",
        "mapper_parsing_exception 7",
        "claude-code-bot.logs/3",
        "errors in the logs",
    ):
        assert part in text, f"{part}\n{text}"


def test_partitions_that_do_not_fit_are_counted_and_the_worst_stay() -> None:
    many = BUSY
    for number in range(100):
        many = changed(
            many, 120.0, "logpipe_consumer_lag_records", float(number), topic="t", partition=str(number)
        )
    text = "\n".join(drawn(seen(many)))
    assert "claude-code-bot.logs/0" in text
    assert "t/1 " not in text
    assert "more, with a lag of" in text


def test_a_terminal_without_unicode_gets_ascii() -> None:
    lines = drawn(seen(QUIET, BUSY), plain=True)
    assert "\n".join(lines).isascii()
    assert sparkline([0, 1, 2], 5, plain=True) == "  _=#"


async def test_it_reads_a_pipeline_that_runs_and_says_when_there_is_none(pipeline: Pipeline) -> None:
    await pipeline.send([b'{"level":"ERROR","message":"m","service":"api"}'] * 10)
    url = f"http://127.0.0.1:{pipeline.port}"
    away = await asyncio.to_thread(logpipe, "top", "--url", url, settings=pipeline.environment())
    assert away.returncode == 3
    assert url in away.stderr.decode()
    with running("index", settings=pipeline.environment()):
        await pipeline.indexed(10)
        await asyncio.sleep(2)
        shown = await asyncio.to_thread(logpipe, "top", "--once", settings=pipeline.environment())
    text = shown.stdout.decode()
    assert shown.returncode == 0, shown.stderr.decode()
    assert "indexed 10" in text
    assert f"{pipeline.name}/" in text
