"""The command `logpipe logstash test`: a Logstash configuration tried on samples."""

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from pipeline.cli.logstash_options import EcsOption, EscapesOption, FilesArgument, SetOption, context_of
from pipeline.cli.terminal import err, out
from pipeline.errors import LogstashError, SettingsError

if TYPE_CHECKING:
    from pipeline.logstash.configuration import Pipeline
    from pipeline.logstash.trial import Sample, Trial

__all__ = ["try_command"]

_WATCH_SECONDS = 0.3
_SHOWN_LETTERS = 200
# Two days and something that no field of a time has in common with the first.
_LATER_MS = 2 * 86_400_000 + 3_723_457


def try_command(
    files: FilesArgument,
    samples: Annotated[
        str,
        typer.Option(
            "--input", metavar="FILE", help="Samples, a record a line, or - for stdin; see the documentation."
        ),
    ],
    expect: Annotated[
        Path | None,
        typer.Option(help="What --json should print: makes this a test, exit code 1 when it differs."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON a document.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Run again whenever one of the files is saved.")
    ] = False,
    ecs: EcsOption = None,
    escapes: EscapesOption = False,
    topic: Annotated[str | None, typer.Option(help="The topic of samples that name none.")] = None,
    settings: SetOption = None,
) -> None:
    """Show the documents that samples become, and what each filter changed."""

    def once() -> bool:
        return _try(files, samples, expect, as_json, ecs, escapes, topic, settings)

    if not watch:
        if not once():
            raise typer.Exit(1)
        return
    if samples == "-":
        raise SettingsError("--watch needs a file of samples, not stdin")
    _watch([*files, Path(samples), *([expect] if expect else [])], once)


def _watch(paths: list[Path], once: Callable[[], bool]) -> None:
    """Run now, and again when a file has changed; Ctrl-C ends it."""
    known: dict[Path, int] = {}
    try:
        while True:
            present = {
                file: file.stat().st_mtime_ns
                for path in paths
                for file in ([path, *path.glob("*.conf")] if path.is_dir() else [path])
                if file.exists()
            }
            if present != known:
                known = present
                out.rule(time.strftime("%H:%M:%S"))
                try:
                    once()
                except LogstashError as error:
                    err.print(Text.assemble(("error: ", "bold red"), str(error)))
            time.sleep(_WATCH_SECONDS)
    except KeyboardInterrupt:
        return


def _try(
    files: list[Path],
    samples: str,
    expect: Path | None,
    as_json: bool,
    ecs: str | None,
    escapes: bool,
    topic: str | None,
    settings: list[str] | None,
) -> bool:
    """Run the samples once; False when an expectation is not met."""
    from pipeline.logstash.configuration import compile_pipeline, read_configuration
    from pipeline.logstash.trial import read_samples, try_sample, without_the_moment

    context, escaped = context_of(files, ecs, settings, escapes)
    pipeline = compile_pipeline(
        read_configuration(files, os.environ, support_escapes=escaped), replace(context, watched=True)
    )
    if topic is None:
        topic = next((known.topics[0] for known in pipeline.inputs if known.topics), "")
    lines = sys.stdin.buffer.readlines() if samples == "-" else _lines(Path(samples))
    rows: list[dict[str, Any]] = []
    now_ms = time.time_ns() // 1_000_000
    later = read_samples(lines, now_ms + _LATER_MS, topic)
    for number, (sample, same) in enumerate(zip(read_samples(lines, now_ms, topic), later, strict=True)):
        trial = try_sample(pipeline, number, sample)
        if expect is None:
            rows += trial.rows
        else:
            rows += without_the_moment(trial.rows, try_sample(pipeline, number, same).rows)
        if "python" in {step.partition(",")[0] for step in pipeline.filters.steps}:
            _check_purity(pipeline, number, sample, trial)
        if as_json:
            for row in trial.rows:
                sys.stdout.write(
                    json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=str) + "\n"
                )
        elif expect is None:
            _show_trial(number, sample, trial)
    sys.stdout.flush()
    return expect is None or _compare(expect, rows)


def _check_purity(pipeline: "Pipeline", number: int, sample: "Sample", trial: "Trial") -> None:
    """Run a sample again: a function of the user's has to give the same, for a replay calls it again too."""
    from pipeline.logstash.trial import try_sample

    if try_sample(pipeline, number, sample).rows != trial.rows:
        text = "run again, a Python function gave something else: a replay of the record would, too."
        err.print(Text.assemble((f"record {number}: ", "bold yellow"), text), soft_wrap=True)


def _lines(path: Path) -> list[bytes]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise SettingsError(f"--input = {str(path)!r}: {error.strerror}") from None
    return lines if lines[-1] else lines[:-1]


def _show_trial(number: int, sample: "Sample", trial: "Trial") -> None:
    from pipeline.logstash.trial import plain_document

    shown = sample.value.decode("utf-8", "replace")
    out.print(
        Text.assemble(
            (f"record {number} ", "bold"),
            shown[:_SHOWN_LETTERS] + ("…" if len(shown) > _SHOWN_LETTERS else ""),
        ),
        soft_wrap=True,
    )
    last = plain_document(trial.before[0]) if trial.before else {}
    for seen in trial.seen:
        now = plain_document(seen.event)
        changes = _changes(last, now)
        if changes:
            out.print(Text(f"  {seen.step}", style="cyan"))
            for change in changes:
                out.print(change, soft_wrap=True)
        last = now
    for step, problem in trial.exceptions.items():
        out.print(Text.assemble(("  exception ", "bold red"), f"{step}: {problem}"), soft_wrap=True)
    for row in trial.rows:
        out.print(
            Text.assemble(("  → ", "bold"), json.dumps(row, ensure_ascii=False, default=str)), soft_wrap=True
        )


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[Text]:
    lines = []
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name), after.get(name)
        if name in before and name in after and old == new and type(old) is type(new):
            continue
        if name in before:
            lines.append(
                Text(f"    - {name}: {json.dumps(old, ensure_ascii=False, default=str)}", style="red")
            )
        if name in after:
            lines.append(
                Text(f"    + {name}: {json.dumps(new, ensure_ascii=False, default=str)}", style="green")
            )
    return lines


def _compare(path: Path, rows: list[dict[str, Any]]) -> bool:
    from pipeline.logstash.trial import differences

    expected: dict[int, list[dict[str, Any]]] = defaultdict(list)
    actual: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            try:
                row = json.loads(line)
                expected[row["in"]].append(row)
            except (ValueError, TypeError, KeyError):
                raise SettingsError(f"{path}:{number}: this is no line that --json prints") from None
    for row in rows:
        actual[row["in"]].append(row)
    wrong = 0
    for number in sorted(expected.keys() | actual.keys()):
        found = differences(expected[number], actual[number])
        wrong += bool(found)
        for text in found:
            err.print(Text.assemble((f"record {number}: ", "bold red"), text), soft_wrap=True)
    total = len(expected.keys() | actual.keys())
    err.print(f"{total} records, {wrong} differ" if wrong else f"[green]{total} records, all as expected[/]")
    return not wrong
