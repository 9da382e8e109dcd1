"""Show figures: a table on the terminal, and the files for the README."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmarks.figures import Figures
from benchmarks.lines import Line
from benchmarks.plot import write_plot

__all__ = ["say", "table", "write_results", "write_side_results"]

_MET = {True: "[green]met", False: "[red]not met", None: ""}
_MET_PLAIN = {True: "met", False: "not met", None: ""}


def say(text: str) -> None:
    """Tell how it goes, at once also where stdout is a file."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def write_side_results(found: Mapping[str, Any], text: str, directory: Path, name: str) -> None:
    """Write `<name>.json` and `<name>.md` of a measurement that is not part of `make bench`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    (directory / f"{name}.md").write_text(text, "utf-8")


def table(figures: Figures) -> Table:
    """Make the table for the terminal: a heading for each group, its lines below."""
    result = Table("", "measured", "target", "", box=SIMPLE_HEAD)
    before = None
    for line in figures.lines():
        if line.group != before:
            result.add_row(f"[bold]{line.group}")
            before = line.group
        result.add_row(f"  {line.name}", line.value, line.target, _MET[line.met])
    return result


def write_results(figures: Figures, directory: Path) -> None:
    """Write `latest.json`, `latest.md` and `latest.png` into a directory, which is made when missing."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(figures.as_json(), indent=2, ensure_ascii=False)
    (directory / "latest.json").write_text(text + "\n", "utf-8")
    (directory / "latest.md").write_text(_markdown(figures), "utf-8")
    write_plot(figures, directory / "latest.png")


def _markdown(figures: Figures) -> str:
    """Write the table as the README shows it."""
    machine = figures.machine
    rows = [
        "| | | measured | target | |",
        "| --- | --- | --- | --- | --- |",
        *(_markdown_row(line) for line in figures.lines()),
    ]
    about = (
        f"{figures.date[:10]}, {machine['cpu']}, {machine['cores']} cores for brokers, servers and worker "
        f"together, Python {machine['python']}, aiokafka {machine['aiokafka']}, orjson {machine['orjson']}, "
        f"Kafka {machine['kafka_server']}, Elasticsearch {machine['elasticsearch_server']}. Medians; ratios "
        "are taken per round, since the contenders run in turns. `make bench` measures it again."
    )
    return "\n".join([*rows, "", about, ""])


def _markdown_row(line: Line) -> str:
    return f"| {line.group} | {line.name} | {line.value} | {line.target} | {_MET_PLAIN[line.met]} |"
