"""The parts of pages that are written by the code: `make docs` renews them, a test compares them.

A part stands between `<!-- NAME: … -->` and `<!-- end of NAME -->`; docs/settings.md, docs/commands.md and
docs/formats.md are whole.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import typer

from benchmarks.formats import FormatRow
from benchmarks.scale import markdown, measured
from docs.source.formats_page import formats_page
from docs.source.scaling_tables import costs_table, plan_table
from pipeline.cli.app import app
from pipeline.log_metrics.rules import load_rules
from pipeline.settings.reference import reference

__all__ = ["generated", "main"]

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"


def generated() -> dict[Path, str]:
    """Give the text that each page with generated parts should have."""
    pages = {
        ROOT / "docs/settings.md": reference(),
        ROOT / "docs/commands.md": commands(),
        ROOT / "docs/formats.md": formats_page(),
    }
    for page, parts in _PARTS.items():
        text = (ROOT / page).read_text("utf-8")
        for name, part in parts.items():
            text = _replace(text, name, part())
        text = _INLINE.sub(_value, text)
        pages[ROOT / page] = text
    return pages


def _replace(text: str, name: str, part: str) -> str:
    """Put a part between its markers.

    Raises ValueError when the page has not exactly one place for it.
    """
    pattern = rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end of {name} -->)"
    replaced, count = re.subn(
        pattern, lambda found: f"{found[1]}{part.strip()}\n{found[2]}", text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"{count} places for {name}, expected one")
    return replaced


# One value in the middle of a line: `<!-- =ours -->5.8<!-- = -->`.
_INLINE = re.compile(r"(<!-- =(\w+) -->)[^<]*(<!-- = -->)")


def _missed() -> str:
    """Count the bounds that are not met, of all."""
    missed, met = (
        len(re.findall(rf"\| {what} \|$", all_figures(), re.MULTILINE)) for what in ("not met", "met")
    )
    return f"{missed} of {missed + met}"


def _value(found: re.Match[str]) -> str:
    return f"{found[1]}{_VALUES[found[2]]()}{found[3]}"


# Figures -------------------------------------------------------------------------------------------------------


def latest() -> dict[str, Any]:
    """Read the newest figures of `make bench`."""
    figures: dict[str, Any] = json.loads((RESULTS / "latest.json").read_text("utf-8"))
    return figures


def readme_figures() -> str:
    """Write the few figures that the README shows."""
    figures = latest()
    run, server, ratios, machine = (
        figures[key] for key in ("end_to_end", "elasticsearch", "ratios", "machine")
    )
    soak = soak_totals()
    rows = [
        ("", "here", "compared with"),
        ("---", "---", "---"),
        (
            "CPU per event, Kafka to a sink, everything on",
            f"**{run['ours_us_per_event']:.1f} µs**",
            (
                f"{run['floor_us_per_event']:.1f} µs: `getmany` and `orjson.loads` alone. "
                f"{run['plain_us_per_event']:.1f} µs: aiokafka, `json`, `async_bulk`"
            ),
        ),
        ("Events per second, one worker", f"**{run['events_per_second']:,}**", ""),
        ("Memory of a worker, at most", f"**{run['rss_mb']:.0f} MB**", ""),
        ("Start to first document", f"**{figures['start_to_first_document_seconds']:.1f} s**", ""),
        (
            "Elasticsearch's CPU per document",
            f"**{server['ours_us_per_document']:.0f} µs**",
            (
                f"{server['guide_us_per_document']:.0f} µs with the guide's template "
                f"({ratios['ours_to_guide']['median']:.2f} x)"
            ),
        ),
        (
            "A document on Elasticsearch's disk, three shards",
            f"**{_bytes_on_disk('ours'):.0f} B**",
            (
                f"{_bytes_on_disk('guide'):.0f} B with the guide's template "
                f"({_bytes_on_disk('ours') / _bytes_on_disk('guide'):.2f} x)"
            ),
        ),
        (
            "Other formats, CPU against the guide's own",
            f"**{_span(figures, _LOGGERS)}** loggers, **{_span(figures, _SHIPPERS)}** shippers",
            f"the guide's: {_guides_us(figures):.1f} µs in memory",
        ),
        *_weather_rows(figures["weather"]),
        (
            "Ten of Logstash's filters on an event",
            f"**{_filter(figures, 'ten filters'):.1f} µs**",
            f"{_filter(figures, 'ten filters and a grok'):.1f} µs with a grok as well",
        ),
        (
            "Telling traces, CPU per event",
            f"**{figures['traces']['us_per_event']:.1f} µs**, in a process of its own",
            "",
        ),
        (
            "Long fault run: missing, duplicated",
            f"**{soak['missing']}**, **{soak['duplicated']}**",
            f"of {soak['events']} events under {soak['faults']} faults",
        ),
    ]
    about = (
        f"{figures['date'][:10]}, {machine['cpu']}, {machine['cores']} cores for brokers, servers and worker "
        f"together, Python {machine['python']}. Medians of rounds in which the contenders take turns."
    )
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", about])


# What formats of a kind may cost at most tells which kind they are.
_LOGGERS, _SHIPPERS = 2.0, 3.0


def _weather_rows(weather: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Write what other traffic costs, against the sample's in the same run."""
    base = f"the sample's traffic: {weather['base']['us_per_event']:.1f} µs in the same run"
    groups = {
        "Error storm; with ids in each message": ("error_storm", "error_storm_with_ids"),
        "50 services; 1,000 services": ("services_50", "services_1000"),
        "Messages of 5 kB; 1,000 partitions": ("long_text", "partitions_1000"),
        "Nothing but dead letters": ("dead_letters",),
    }
    return [
        (
            f"{name}: CPU per event",
            "; ".join(f"**{weather[kind]['times_base']:.1f} x**" for kind in kinds),
            "" if number else base,
        )
        for number, (name, kinds) in enumerate(groups.items())
    ]


def _guides_us(figures: dict[str, Any]) -> float:
    return next(row.us_per_event for row in _formats(figures) if row.name == "guide")


def _formats(figures: dict[str, Any]) -> list[FormatRow]:
    return [FormatRow(**row) for row in figures["formats"]]


def _span(figures: dict[str, Any], most: float) -> str:
    """Give the least and the most that formats of a kind cost; traffic that is mixed is none."""
    times = [
        row.times_guide for row in _formats(figures) if row.most_times_guide == most and row.name[0].isalpha()
    ]
    return f"{min(times):.1f} to {max(times):.1f} x"


def _filter(figures: dict[str, Any], name: str) -> float:
    (row,) = [each for each in figures["filters"] if each["name"] == name]
    return float(row["us_per_event"])


def _bytes_on_disk(contender: str) -> float:
    """Read what a document of the sample traffic takes by a template, from the figures of Elasticsearch's side."""
    rounds = json.loads((RESULTS / "storage.json").read_text("utf-8"))["rounds"]
    return median(
        float(one["bytes_per_document"])
        for one in rounds
        if (one["kind"], one["contender"]) == ("sample", contender)
    )


def storage_figures() -> str:
    """Write the table of Elasticsearch's side."""
    return (RESULTS / "storage.md").read_text("utf-8")


def python_figures() -> str:
    """Write the table of the builds of Python."""
    return (RESULTS / "pythons.md").read_text("utf-8")


def all_figures() -> str:
    """Write the whole table of the benchmark."""
    return (RESULTS / "latest.md").read_text("utf-8")


def soak_totals() -> dict[str, str]:
    """Read the line of sums from the report of the long fault run."""
    text = (RESULTS / "soak.md").read_text("utf-8")
    (line,) = re.findall(r"^\| \*\*all\*\* \|(.*)\|$", text, re.MULTILINE)
    names = ["events", "faults", "missing", "duplicated", "dead_letters", "memory"]
    totals = dict(zip(names, (cell.strip() for cell in line.split("|")), strict=True))
    totals["scenarios"] = str(len(re.findall(r"^\| (?!\*\*|---|scenario)", text, re.MULTILINE)))
    totals["about"] = text.splitlines()[0]
    return totals


def soak() -> str:
    """Write the sums of the long fault run, and what it says of memory."""
    totals = soak_totals()
    report = (RESULTS / "soak.md").read_text("utf-8")
    memory = re.findall(r"^Memory of the worker in .*$", report, re.MULTILINE)
    return "\n".join(
        [
            "| | |",
            "|---|---|",
            f"| events sent | {totals['events']} |",
            f"| faults injected | {totals['faults']}, in {totals['scenarios']} scenarios |",
            f"| missing | **{totals['missing']}** |",
            f"| duplicated | **{totals['duplicated']}** |",
            f"| dead letters, as expected | {totals['dead_letters']} |",
            f"| memory of a worker, at most | {totals['memory']} MB |",
            "",
            totals["about"],
            *(f"\n{line}" for line in memory),
        ]
    )


# Commands ------------------------------------------------------------------------------------------------------

_HEAD = """# Commands

Written by `make docs` from the program itself. `logpipe --help` and `logpipe COMMAND --help` say the same.

Exit codes: 0 done, 1 failed, 2 wrong setting or option, 3 a server cannot be reached, 4 a server refused, 5 the
sandbox failed. `probe` has Nagios' exit codes instead: 0 OK, 2 critical, 3 unknown. `logpipe --install-completion`
completes commands in your shell.
"""


def commands() -> str:
    """Write the page of all commands and their options."""
    root = typer.main.get_command(app)
    return "\n".join([_HEAD, *_options(root), *_commands(root, "logpipe")])


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in getattr(group, "commands", {}).items():
        if command.hidden:
            continue
        called = f"{path} {name}"
        yield f"## {called}\n\n{_paragraphs(command.help)}\n"
        yield from _options(command)
        yield from _commands(command, called)


def _options(command: Any) -> Iterator[str]:
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    if shown:
        yield "| option | |\n|---|---|"
        yield from (f"| {_spelling(each)} | {_cell(each)} |" for each in shown)
        yield ""


def _spelling(parameter: Any) -> str:
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name).upper()}`"
    return ", ".join(f"`{name}`" for name in names)


def _cell(parameter: Any) -> str:
    text = _one_line(getattr(parameter, "help", None))
    default = parameter.default
    plain = isinstance(default, int | float | str) and not isinstance(default, bool) and default != ""
    if plain and getattr(parameter, "show_default", False):
        text += f" Default: `{default}`."
    return text


def _one_line(text: str | None) -> str:
    return _escaped(" ".join((text or "").replace("\\[", "[").split()))


def _paragraphs(text: str | None) -> str:
    parts = re.split(r"\n\s*\n", (text or "").replace("\b", "").strip())
    return "\n\n".join(_escaped(" ".join(part.split())) for part in parts)


def _escaped(text: str) -> str:
    """Write what Markdown would take for a table's border or for HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("~/", "\\~/")


_PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"figures": readme_figures},
    "docs/figures.md": {"figures": all_figures, "storage": storage_figures, "pythons": python_figures},
    "docs/faults.md": {"soak": soak},
    "docs/scaling.md": {"plan": plan_table, "costs": costs_table, "simulation": lambda: markdown(measured())},
}


_VALUES: dict[str, Callable[[], str]] = {
    "rules": lambda: str(len({rule.name for rule in load_rules()})),
    "missed": _missed,
    "ours": lambda: f"{latest()['end_to_end']['ours_us_per_event']:.1f}",
}


def main() -> None:
    """Write the pages anew."""
    for page, text in generated().items():
        if not page.exists() or page.read_text("utf-8") != text:
            page.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
