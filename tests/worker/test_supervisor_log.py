"""What `logpipe run` writes of its workers: few lines, with the numbers of all of them."""

import logging

import pytest

from pipeline.telemetry.families import dump_families
from pipeline.telemetry.merged import SupervisorTelemetry
from pipeline.telemetry.metrics import Telemetry
from pipeline.worker.supervisor_log import SupervisorLog


class Shift:
    """The log of a supervisor, second by second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.telemetry = SupervisorTelemetry()
        self.log = SupervisorLog(self.telemetry, lambda: self.now)

    def pass_by(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.log.look()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_worker_that_ends_all_night_is_a_line_a_minute_and_one_at_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    shift = Shift()
    shift.log.started(0, 100)
    for number in range(600):
        shift.log.ended(0, "its exit code is 3", 1.0)
        shift.pass_by(1)
        shift.log.started(0, 101 + number)
        shift.pass_by(1)
    shift.pass_by(120)
    lines = told(caplog)
    assert len(lines) < 15
    assert lines[0] == "worker 0 is process 100"
    assert lines[1].startswith("worker 0 has ended, since ")
    assert "its exit code is 3. The others take its partitions over" in lines[1]
    assert "It is started again in 1.0 s." in lines[1]
    assert "worker 0 has ended 31 times" in lines[2]
    assert "worker 0 has been running for a minute, after " in lines[-1]


def test_progress_and_summary_are_of_all_workers_also_of_those_that_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    shift = Shift()
    merged = shift.telemetry.merged
    for run in range(2):
        worker = Telemetry()
        worker.consumed.labels("t", str(run)).inc(600)
        worker.documents.labels("t", str(run), "indexed").inc(590)
        worker.in_flight_records.set(10)
        worker.lag.records.labels("t", str(run)).set(50)
        worker.retries.labels("failed").inc(3)
        merged.begin(run)
        merged.update(run, dump_families(worker.registry))
    shift.now = 60.0
    shift.log.progress()
    merged.end(0)
    merged.silent(1)
    shift.log.end()
    assert told(caplog) == [
        "20/s read, 20/s settled; lag 100; 20 in flight",
        "ended after 1 min: 1,200 events read, 1,180 indexed, 10 read again. 6 documents were sent again.",
    ]
