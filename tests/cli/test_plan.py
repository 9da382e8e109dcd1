"""`logpipe plan` as a user calls it: figures, limits, refusals, narrow terminals, a sample of one's own topic."""

import json
import os
import pty
import subprocess
import time
from pathlib import Path

import pytest

from tests.logpipe import COMMAND, environment, logpipe
from tests.own_pipeline import Pipeline


def test_a_plan_says_what_is_needed_and_what_it_assumes() -> None:
    done = logpipe("plan", "--events-per-second", "1000")
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    for name in (
        "workers",
        "partitions",
        "Kafka's disk",
        "shards a day",
        "data nodes",
        "hot",
        "warm",
        "cold",
    ):
        assert name in text
    assert "assumes events of 364 bytes" in text
    assert "limit" not in text


def test_beyond_a_limit_the_exit_code_is_1_and_it_says_what_to_do() -> None:
    done = logpipe("plan", "--events-per-second", "10000000")
    assert done.returncode == 1
    assert b"split the traffic over" in done.stdout
    assert not done.stderr


def test_json_has_the_same_figures() -> None:
    made = json.loads(logpipe("plan", "--events-per-second", "5e4", "--bytes", "1KiB", "--json").stdout)
    assert made["traffic"] == {
        "events_per_second": 50_000,
        "event_bytes": 1024,
        "formats": {"guide": 1},
        "errors": 0.01,
        "services": 1,
    }
    assert made["elasticsearch"]["documents_per_day"] == 50_000 * 86_400
    assert made["elasticsearch"]["disk_bytes"] == pytest.approx(
        sum(one["disk_bytes"] for one in made["elasticsearch"]["phases"])
    )
    stuck = logpipe("plan", "--events-per-second", "1e6", "--data-nodes", "1", "--json")
    assert json.loads(stuck.stdout)["catch_up_seconds"] is None
    assert stuck.returncode == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--events-per-second is needed, or --sample"),
        (["--events-per-second", "0"], "--events-per-second = 0: a number above 0"),
        (["--events-per-second", "nan"], "--events-per-second = nan"),
        (["--events-per-second", "inf"], "--events-per-second = inf"),
        (["--events-per-second", "5", "--bytes", "3 parsec"], "--bytes = '3 parsec': a size such as 364"),
        (["--events-per-second", "5", "--bytes", "0"], "--bytes = '0'"),
        (["--events-per-second", "5", "--node-disk", "big"], "--node-disk = 'big'"),
        (["--events-per-second", "5", "--format", "xml"], "there are guide, logger, shipper"),
        (["--events-per-second", "5", "--peak", "nan"], "--peak"),
        (["--events-per-second", "5", "--days", "0"], "--days"),
    ],
)
def test_nonsense_is_refused_by_the_option_s_name(options: list[str], said: str) -> None:
    done = logpipe("plan", *options)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert not done.stdout


@pytest.mark.parametrize("width", [80, 40])
def test_no_line_of_a_terminal_is_cut_or_broken(width: int) -> None:
    """A table fits into 80 columns; into 40 each row becomes lines, of which only words may wrap."""
    reading, writing = pty.openpty()
    try:
        done = subprocess.run(
            [*COMMAND, "plan", "--events-per-second", "10000000"],
            env=environment({"COLUMNS": str(width), "TERM": "xterm"}),
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
        os.close(writing)
        parts = []
        while part := _read(reading):
            parts.append(part)
    finally:
        os.close(reading)
    text = b"".join(parts).decode()
    assert done.returncode == 1
    assert "…" not in text
    rows = [line for line in text.splitlines() if "partitions" in line]
    assert rows
    if width == 80:
        lines = [line.rstrip("\r") for line in text.split("\n")]
        assert max(map(len, lines)) <= 80 + len("\x1b[1m\x1b[0m") * 8
        plan = json.loads(logpipe("plan", "--events-per-second", "10000000", "--json").stdout)
        assert f"{plan['workers']['partitions']:,}  2 for each worker" in text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux: nobody writes any more
        return b""


async def test_a_sample_of_the_topic_says_what_is_not_given(pipeline: Pipeline, tmp_path: Path) -> None:
    plain = b'{"timestamp":"2024-01-15T10:30:00Z","level":"INFO","service":"a","message":"one"}'
    wrong = b'{"timestamp":"2024-01-15T10:30:00Z","level":"ERROR","service":"b","message":"two"}'
    pino = b'{"level":30,"time":1705314600000,"pid":1,"hostname":"h","msg":"three","service":"a"}'
    await pipeline.send([plain, plain, wrong, pino])
    time.sleep(0.05)  # noqa: ASYNC251 - the sample ends at the time of the command
    options = ["plan", "--sample", "--json"]
    done = logpipe(*options, settings=pipeline.environment(), directory=tmp_path)
    assert done.returncode == 0, done.stderr
    traffic = json.loads(done.stdout)["traffic"]
    assert traffic["formats"] == {"guide": 0.75, "logger": 0.25}
    assert (traffic["errors"], traffic["services"]) == (0.25, 2)
    assert traffic["event_bytes"] == (2 * len(plain) + len(wrong) + len(pino)) / 4
    assert traffic["events_per_second"] == pytest.approx(4 / 3600), "of the hours that Kafka still has"
    text = logpipe("plan", "--sample", "--bytes", "500", settings=pipeline.environment(), directory=tmp_path)
    assert "4 documents of the last day" in text.stdout.decode()
    assert "events of 500 bytes" in text.stdout.decode(), "what is given wins"
    assert set((await pipeline.committed()).values()) == {0}, "the group is not touched"


async def test_the_rate_of_a_sample_is_of_events_where_records_hold_several(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    one = {"timestamp": "2024-01-15T10:30:00Z", "level": "INFO", "message": "one"}
    await pipeline.send([json.dumps([one] * 10).encode()] * 2)
    time.sleep(0.05)  # noqa: ASYNC251 - the sample ends at the time of the command
    done = logpipe("plan", "--sample", "--json", settings=pipeline.environment(), directory=tmp_path)
    assert json.loads(done.stdout)["traffic"]["events_per_second"] == pytest.approx(20 / 3600)


async def test_an_empty_topic_has_no_rate(pipeline: Pipeline, tmp_path: Path) -> None:
    done = logpipe("plan", "--sample", settings=pipeline.environment(), directory=tmp_path)
    assert done.returncode == 2
    assert "nothing came into the topics within the last day" in done.stderr.decode()
    given = logpipe(
        "plan", "--sample", "--events-per-second", "9", settings=pipeline.environment(), directory=tmp_path
    )
    assert given.returncode == 0
    assert "No record of the last day was found" in given.stderr.decode()
