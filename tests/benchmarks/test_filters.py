import json
import subprocess
import sys
from pathlib import Path

from benchmarks.figures import Figures
from benchmarks.filters import COSTS, FilterRow, Filters, measure_filters
from benchmarks.machine import describe_machine
from pipeline.logstash.compiler import Context, compile_filters
from pipeline.logstash.parse import parse
from pipeline.logstash.plugin import Origin, Outcomes

ROOT = Path(__file__).parents[2]
FILTERS = Filters(
    [FilterRow("one", 0.2, 0.1, 0.15), FilterRow("two", 3.0, 2.9, 8.0), FilterRow("three", 1.0, 1.0, None)],
    [0.5, 1.5, 0.25],
    [1.5, 1.6, 1.0],
    [2.0, 2.5, 3.0],
)


def test_every_configuration_is_measured() -> None:
    measured = measure_filters(2, events=300)
    assert [row.name for row in measured.rows] == [cost.name for cost in COSTS]
    assert all(0 <= row.least <= row.median for row in measured.rows)
    assert len(measured.unmatched_to_matched) == 2
    assert all(ratio > 0 for ratio in [*measured.guide_to_built_in, *measured.more_to_built_in])


def test_no_filter_of_a_configuration_refuses_its_events() -> None:
    for cost in COSTS:
        compiled = compile_filters(
            parse(f"filter {{ {cost.config} }}").statements("filter"), Context(ecs="disabled")
        )
        outcomes = Outcomes()
        events = [cost.event(number) for number in range(100)]
        left, _origins = compiled.run(events, [Origin()] * len(events), outcomes)
        assert left
        assert not outcomes.exceptions
        failures = {tag for event in left for tag in event.get("tags", []) if tag.startswith("_")}
        assert failures == ({"_grokparsefailure"} if "not match" in cost.name else set())


def test_bounds_of_filters_are_judged_and_written() -> None:
    figures = Figures(date="2024-01-15T10:30:00+00:00", machine=describe_machine(), filters=FILTERS)
    assert [line.met for line in figures.lines()] == [False, True, None, True, False, None]
    result = figures.as_json()
    assert result["filters"][0] == {"name": "one", "us_per_event": 0.2, "most": 0.15}
    assert result["ratios"]["unmatched_to_matched"] == {"median": 0.5, "rounds": [0.5, 1.5, 0.25]}


def test_the_command_measures_filters_without_servers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "filters", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--results", tmp_path], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert "one condition with drop" in done.stdout
    assert len(json.loads((tmp_path / "latest.json").read_text("utf-8"))["filters"]) == len(COSTS)
