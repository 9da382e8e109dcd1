"""The line a minute, and the summary."""

from pipeline.telemetry.progress import Figures, Progress, summary

START = Figures(100.0, 0, {}, 0, None)


def test_a_minute_of_work() -> None:
    progress = Progress(Figures(100.0, 0, {}, 0, 60_000))
    assert not progress.is_due(159.0)
    assert progress.is_due(160.0)
    (line,) = progress.line(Figures(160.0, 60_000, {"indexed": 54_000, "dead_lettered": 60}, 1200, 30_000))
    assert line.text == "1,000/s read, 901/s settled; lag 30.0k, gone in 1 min; 1,200 in flight"
    assert line.context == {
        "read_per_second": 1000.0,
        "settled_per_second": 901.0,
        "in_flight_records": 1200,
        "lag_records": 30_000,
        "eta_seconds": 60,
    }


def test_lag_that_grows_has_no_end() -> None:
    progress = Progress(Figures(0.0, 0, {}, 0, 100))
    (line,) = progress.line(Figures(60.0, 600, {"indexed": 600}, 0, 700))
    assert line.text == "10/s read, 10/s settled; lag 700, growing by 10/s; 0 in flight"


def test_quiet_is_told_once() -> None:
    progress = Progress(START)
    lines = [progress.line(Figures(100.0 + 60 * minute, 0, {}, 0, None)) for minute in range(1, 5)]
    assert [len(each) for each in lines] == [1, 0, 0, 0]
    assert len(progress.line(Figures(400.0, 1, {}, 1, None))) == 1


def test_a_standstill_that_another_line_explains_is_not_told() -> None:
    progress = Progress(START)
    assert progress.line(Figures(160.0, 0, {}, 0, None), told_otherwise=True) == []


def test_the_summary() -> None:
    end = Figures(7300.0, 1234, {"indexed": 1200, "already_there": 4, "dead_lettered": 0}, 30, 7)
    line = summary(START, end, {"documents were sent again": 50, "records were lost": 0}, ["Kafka is away"])
    assert line.text == (
        "ended after 2 h: 1,234 events read, 1,200 indexed, 4 already there. 50 documents were sent again. "
        "30 records are read again by the worker that comes next. Still so: Kafka is away."
    )
