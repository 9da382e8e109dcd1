"""The benchmarks work and write what they promise; how fast anything is, is not for a test to say."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_bulk
from rich.console import Console

from benchmarks.contenders.plain import to_action
from benchmarks.contenders.task import Task
from benchmarks.contest import ContenderFailedError, run_contender
from benchmarks.end_to_end import EndToEnd, Round, measure_end_to_end
from benchmarks.figures import Figures
from benchmarks.formats import FormatRow, measure_formats
from benchmarks.hot_path import HotPath, Row, measure_hot_path
from benchmarks.machine import describe_machine
from benchmarks.rejections import RejectionRound, Rejections, measure_rejections
from benchmarks.report import table, write_results
from benchmarks.sink import Rejects, application, running_sink
from benchmarks.start import Start, measure_start
from benchmarks.templates import TemplateRound, Templates, measure_templates
from benchmarks.usage import Usage, measure
from benchmarks.weather import KINDS
from benchmarks.workers import Workers, WorkersRound, measure_workers
from pipeline.sandbox import Servers

ROOT = Path(__file__).parents[2]
FIGURES = Figures(
    date="2024-01-15T10:30:00+00:00",
    machine=describe_machine(),
    hot_path=HotPath(1000, [Row("ours", 2.0, 2.1), Row("loads", 1.0, 1.1)]),
    formats=[FormatRow("guide", 2.0, 1.0), FormatRow("pino", 3.0, 1.5)],
    end_to_end=EndToEnd(
        2000,
        1000,
        [
            Round(
                floor=3.0,
                ours=6.0,
                ours_without_log_metrics=5.0,
                plain=36.0,
                ours_usage=Usage(0.012, 0.1, 100_000_000),
            ),
            Round(
                floor=3.0,
                ours=5.4,
                ours_without_log_metrics=5.0,
                plain=54.0,
                ours_usage=Usage(0.011, 0.2, 150_000_000),
            ),
            Round(
                floor=4.0,
                ours=8.0,
                ours_without_log_metrics=8.0,
                plain=48.0,
                ours_usage=Usage(0.016, 0.4, 120_000_000),
            ),
        ],
    ),
    workers=Workers(
        2000,
        [WorkersRound(one=Usage(0.01, 0.1, 1), two=(Usage(0.011, 0.2, 1), Usage(0.013, 0.2, 1)))],
    ),
    templates=Templates(500, [TemplateRound(guide=50.0, ours=40.0, ours_documents_per_second=30_000.0)]),
    start=Start([1.0, 3.0, 1.5]),
    rejections=Rejections(
        2000,
        [
            RejectionRound(clean=Usage(0.012, 0.1, 1), rejected=Usage(0.016, 0.4, 1), dead_letters=4),
            RejectionRound(clean=Usage(0.010, 0.1, 1), rejected=Usage(0.016, 0.25, 1), dead_letters=6),
        ],
    ),
)


def keys(value: object, prefix: str = "") -> set[str]:
    if not isinstance(value, dict):
        return {prefix}
    return {key for name, inner in value.items() for key in keys(inner, f"{prefix}.{name}".lstrip("."))}


FIGURE_KEYS = {
    "hot_path.us_per_event",
    "formats",
    "filters",
    "end_to_end.ours_us_per_event",
    "end_to_end.ours_without_log_metrics_us_per_event",
    "end_to_end.floor_us_per_event",
    "end_to_end.plain_us_per_event",
    "end_to_end.events_per_second",
    "end_to_end.rss_mb",
    "workers.one_us_per_event",
    "workers.two_us_per_event",
    "workers.one_events_per_second",
    "workers.two_events_per_second",
    "rejections.us_per_event",
    "rejections.clean_us_per_event",
    "rejections.events_per_second",
    "rejections.dead_letters",
    "start_to_first_document_seconds",
    "elasticsearch.ours_us_per_document",
    "elasticsearch.guide_us_per_document",
    "elasticsearch.real_documents_per_second",
    "traces.emission_us_per_event",
    "traces.us_per_event",
    "traces.events_per_second",
    "traces.reread_seconds",
    "traces.bytes_per_open_trace",
    *(
        f"weather.{kind.name}.{figure}"
        for kind in KINDS
        for figure in ("us_per_event", "times_base", "rss_mb", "events")
    ),
}


def test_formats_are_measured_against_the_guides() -> None:
    rows = {row.name: row for row in measure_formats(300, 1)}
    assert rows["guide"].times_guide == 1
    assert rows["guide"].most_times_guide is None
    assert {"pino", "filebeat", "otlp", "8 formats at random"} <= rows.keys()
    assert all(row.us_per_event > 0 for row in rows.values())


def test_hot_path_measures_each_way() -> None:
    measured = measure_hot_path(200, 2)
    assert measured.events == 200
    assert len(measured.rows) == 8
    assert all(0 < row.minimum <= row.median for row in measured.rows)
    assert measured.us_per_event == measured.rows[0].median


def test_the_command_measures_a_part_and_writes_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "hot_path", "--events", "1000", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--results", tmp_path], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert "orjson.loads alone" in done.stdout
    result = json.loads((tmp_path / "latest.json").read_text("utf-8"))
    assert result["hot_path"]["us_per_event"] > 0
    assert result["end_to_end"]["rss_mb"] is None


def test_usage_tells_time_and_memory() -> None:
    usage = measure(lambda: None)
    assert usage.wall_seconds >= 0
    assert usage.peak_rss_bytes > 1 << 20
    assert Usage(0.5, 1.0, 0).cpu_us(1000) == 500


def test_result_has_the_promised_keys_and_no_others() -> None:
    result = FIGURES.as_json()
    assert {key for key in keys(result) if not key.startswith(("ratios.", "events.", "machine."))} == {
        *FIGURE_KEYS,
        "date",
    }
    assert set(result["ratios"]) == {
        "ours_to_floor",
        "ours_without_log_metrics_to_floor",
        "log_metrics_to_none",
        "plain_to_ours",
        "ours_to_guide",
        "unmatched_to_matched",
        "guide_filters_to_built_in",
        "more_filters_to_built_in",
        "two_workers_to_twice_one",
        "two_workers_to_one_per_cpu_second",
        "rejected_to_clean_throughput",
        "rejected_to_clean_per_cpu_second",
    }


def test_result_of_a_part_has_the_same_keys() -> None:
    part = Figures(date=FIGURES.date, machine=FIGURES.machine)
    assert keys(part.as_json()) == keys(FIGURES.as_json())


def test_figures_are_medians_and_ratios_are_taken_per_round() -> None:
    result = FIGURES.as_json()
    assert result["end_to_end"] == {
        "ours_us_per_event": 6.0,
        "ours_without_log_metrics_us_per_event": 5.0,
        "floor_us_per_event": 3.0,
        "plain_us_per_event": 48.0,
        "events_per_second": 10_000,
        "rss_mb": 150.0,
    }
    assert result["ratios"]["ours_to_floor"] == {"median": 2.0, "rounds": [2.0, 1.8, 2.0]}
    assert result["ratios"]["log_metrics_to_none"] == {"median": 1.08, "rounds": [1.2, 1.08, 1.0]}
    assert result["ratios"]["plain_to_ours"] == {"median": 6.0, "rounds": [6.0, 10.0, 6.0]}
    assert result["workers"] == {
        "one_us_per_event": 5.0,
        "two_us_per_event": 6.0,
        "one_events_per_second": 20_000,
        "two_events_per_second": 20_000,
    }
    assert result["ratios"]["two_workers_to_twice_one"] == {"median": 0.5, "rounds": [0.5]}
    assert result["ratios"]["two_workers_to_one_per_cpu_second"] == {"median": 0.833, "rounds": [0.833]}
    assert result["rejections"] == {
        "us_per_event": 8.0,
        "clean_us_per_event": 5.5,
        "events_per_second": 6500,
        "dead_letters": 5,
    }
    assert result["ratios"]["rejected_to_clean_throughput"] == {"median": 0.325, "rounds": [0.25, 0.4]}
    assert result["ratios"]["rejected_to_clean_per_cpu_second"]["rounds"] == [0.75, 0.625]
    assert result["start_to_first_document_seconds"] == 1.5


def test_targets_are_judged() -> None:
    judged = {line.name: line.met for line in FIGURES.lines() if line.met is not None}
    assert judged == {
        "ours, everything on": True,
        "ours, no metrics from the logs": True,
        "what metrics from the logs cost": True,
        "the plain way: json + async_bulk": True,
        "peak resident memory": True,
        "events per second, dead letters to Kafka": False,
        "events per second of CPU": True,
        "process start → first document": True,
        "our template": False,
        "pino": True,
    }


def test_machine_names_no_host() -> None:
    machine = describe_machine()
    assert {"cpu", "cores", "python", "aiokafka", "orjson", "elasticsearch"} <= set(machine)
    assert platform.node() not in machine.values()


def test_results_are_written(tmp_path: Path) -> None:
    directory = tmp_path / "results"
    write_results(FIGURES, directory)
    assert json.loads((directory / "latest.json").read_text("utf-8")) == FIGURES.as_json()
    markdown = (directory / "latest.md").read_text("utf-8")
    assert "2.00 x floor | ≤ 2.0 x floor | met |" in markdown
    assert "not met" in markdown
    assert (directory / "latest.png").read_bytes().startswith(b"\x89PNG")


def test_results_of_a_part_are_written(tmp_path: Path) -> None:
    write_results(Figures(date=FIGURES.date, machine=FIGURES.machine, start=FIGURES.start), tmp_path)
    assert "1.50 s" in (tmp_path / "latest.md").read_text("utf-8")


def test_table_shows_each_line() -> None:
    console = Console(width=120)
    with console.capture() as shown:
        console.print(table(FIGURES))
    text = shown.get()
    assert all(line.name in text and line.value in text and line.target in text for line in FIGURES.lines())
    assert text.count("not met") == 3


@pytest.mark.parametrize("documents", [0, 1, 500])
async def test_sink_answers_each_document(documents: int) -> None:
    body = b'{"create":{}}\n{"message":"text"}\n' * documents
    async with TestServer(application()) as server, ClientSession() as session:
        for query in ("", "?filter_path=errors,items.*.status,items.*.error"):
            async with session.post(server.make_url(f"/_bulk{query}"), data=body) as response:
                assert response.headers["x-elastic-product"] == "Elasticsearch"
                answer = orjson.loads(await response.read())
            assert answer["errors"] is False
            assert [item["create"]["status"] for item in answer["items"]] == [201] * documents
        async with session.get(server.make_url("/documents")) as response:
            assert await response.json() == 2 * documents


@pytest.mark.parametrize("documents", [0, 1, 500])
async def test_sink_refuses_one_document(documents: int) -> None:
    body = b'{"create":{"routing":"0.0","_index":"i","_id":"0"}}\n{"message":"text"}\n' * documents
    async with TestServer(application(Rejects.ONE)) as server, ClientSession() as session:
        async with session.post(server.make_url("/_bulk?filter_path=errors"), data=body) as response:
            answer = orjson.loads(await response.read())
        async with session.get(server.make_url("/documents")) as response:
            taken = await response.json()
    statuses = [item["create"]["status"] for item in answer["items"]]
    assert answer["errors"] is (documents > 0)
    assert (statuses.count(400), statuses.count(201)) == (documents > 0, taken)
    assert len(statuses) == documents


async def test_sink_refuses_every_document() -> None:
    body = b'{"create":{"_index":"i","_id":"0"}}\n{"message":"text"}\n' * 3
    async with TestServer(application(Rejects.ALL)) as server, ClientSession() as session:
        async with session.post(server.make_url("/_bulk"), data=body) as response:
            answer = orjson.loads(await response.read())
        async with session.get(server.make_url("/documents")) as response:
            assert await response.json() == 0
    assert [item["create"]["status"] for item in answer["items"]] == [400] * 3


async def test_sink_does_not_count_what_the_worker_notes_itself() -> None:
    body = b'{"create":{"_index":"claude-code-bot.fingerprints","_id":"0"}}\n{"message":"text"}\n'
    async with TestServer(application(Rejects.ONE)) as server, ClientSession() as session:
        async with session.post(server.make_url("/_bulk?filter_path=items"), data=body) as response:
            answer = orjson.loads(await response.read())
        async with session.get(server.make_url("/documents")) as response:
            assert await response.json() == 0
    assert [item["create"]["status"] for item in answer["items"]] == [201]


async def test_sink_satisfies_the_client_and_ends() -> None:
    with running_sink() as url:
        async with AsyncElasticsearch(url) as client:
            actions = [{"_index": "some", "_source": {"number": number}} for number in range(1200)]
            assert await async_bulk(client, actions) == (1200, [])


@pytest.mark.parametrize(
    ("value", "index", "expected"),
    [
        pytest.param(
            b'{"timestamp":"2024-01-15T23:30:00.5-01:00","level":"ERROR"}',
            "p-2024.01.16",
            {
                "@timestamp": "2024-01-16T00:30:00.500000+00:00",
                "level": "ERROR",
                "service_name": "claude-code-bot",
                "tags": ["error"],
            },
            id="an event",
        ),
        pytest.param(
            b'{"message":"{\\"timestamp\\":\\"2024-01-15T10:30:00Z\\"}","fields":{"service":"claude-code-bot"}}',
            "p-2024.01.15",
            {
                "@timestamp": "2024-01-15T10:30:00+00:00",
                "message": '{"timestamp":"2024-01-15T10:30:00Z"}',
                "fields": {"service": "claude-code-bot"},
                "service_name": "claude-code-bot",
            },
            id="an envelope",
        ),
        pytest.param(
            b"Traceback",
            "p-1970.01.01",
            {
                "@timestamp": "1970-01-01T00:00:00+00:00",
                "message": "Traceback",
                "service_name": "claude-code-bot",
                "tags": ["_jsonparsefailure"],
            },
            id="not JSON",
        ),
    ],
)
def test_the_plain_way_does_the_guides_steps(value: bytes, index: str, expected: dict[str, object]) -> None:
    assert to_action(value, 0, "p") == {"_index": index, "_source": expected}


def test_end_to_end_runs_each_contender(servers: Servers) -> None:
    said: list[str] = []
    measured = measure_end_to_end(servers.kafka_bootstrap, 1000, 1, said.append)
    assert (measured.events, measured.plain_events, len(measured.rounds)) == (1000, 1000, 1)
    assert all(value > 0 for value in measured.rounds[0][:3])
    assert measured.rss_mb > 10
    assert "ours/floor" in said[-1]


def test_refused_documents_are_compared_with_clean_traffic(servers: Servers) -> None:
    measured = measure_rejections(servers.kafka_bootstrap, 2000, 1, lambda _: None)
    assert measured.dead_letters > 0
    assert measured.throughput_to_clean[0] > 0
    assert measured.per_cpu_second_to_clean[0] > 0


def test_two_workers_are_compared_with_one(servers: Servers) -> None:
    measured = measure_workers(servers.kafka_bootstrap, 2000, 1, lambda _: None)
    assert measured.one_us_per_event > 0
    assert measured.events_per_second_to_twice_one[0] > 0
    assert measured.events_per_cpu_second_to_one[0] > 0


def test_templates_are_compared(servers: Servers) -> None:
    measured = measure_templates(servers, 1000, 1, lambda _: None)
    assert measured.ours_us_per_document > 0
    assert measured.guide_us_per_document > 0
    assert measured.real_documents_per_second > 0


def test_start_is_timed(servers: Servers) -> None:
    assert 0 < measure_start(servers, 1, lambda _: None).seconds < 60


def test_a_contender_that_fails_is_reported(servers: Servers) -> None:
    task = Task("nobody", servers.kafka_bootstrap, "topic", "group", events=1)
    with pytest.raises(ContenderFailedError, match="nobody ended with exit code 1"):
        run_contender(task)
