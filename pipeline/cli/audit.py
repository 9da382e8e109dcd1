"""The command `logpipe audit`: parse, call, print."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pipeline.cli.options import ConfigOption, load_run_settings, milliseconds
from pipeline.cli.tables import Column, print_json, print_table
from pipeline.cli.terminal import err, out
from pipeline.errors import SettingsError, TopicMissing
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.audit import AuditResult

__all__ = ["audit_command", "print_audit", "result_as_json"]

_COUNTS = (
    "records",
    "expected",
    "indexed",
    "dropped",
    "own_ids",
    "dead",
    "missing",
    "duplicated",
    "of_earlier_topic",
    "without_record",
    "expired",
    "corrupt",
)
_HEADINGS = {
    "expected": "documents",
    "dropped": "dropped by filters",
    "own_ids": "own ids, not proved",
    "of_earlier_topic": "of an earlier topic",
    "without_record": "no record",
    "expired": "expired unread",
    "corrupt": "damaged",
}
# Columns that most have no use for.
_OF_FILTERS = ("dropped", "own_ids")
_UNREAD = {
    "expired": "expired before being read: retention has removed these offsets",
    "corrupt": "damaged in Kafka: these offsets cannot be read",
}


def audit_command(
    config: ConfigOption = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="Topic to look at; the configured ones unless given.")
    ] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="The only partition to look at.")] = None,
    from_offset: Annotated[int | None, typer.Option(min=0, help="First offset, with --partition.")] = None,
    to_offset: Annotated[
        int | None, typer.Option(min=0, help="First offset that is left out, with --partition.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Timestamp of the records at the earliest, ISO-8601.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="First timestamp that is too late, ISO-8601.")] = None,
    to_end: Annotated[
        bool, typer.Option("--to-end", help="All that Kafka holds, not only what the group has committed.")
    ] = False,
    traces: Annotated[
        bool, typer.Option("--traces", help="Compare the summaries of traces with their events instead.")
    ] = False,
    sample: Annotated[
        int | None, typer.Option(min=1, help="So many traces only, from a random one on; with --traces.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Prove that no record is lost or indexed twice: compare Kafka, Elasticsearch and the dead letters.

    Exit code 0 when nothing is missing, duplicated, damaged in Kafka or expired before it was read, else 1; also 1
    when there was nothing to compare, as of a topic or a group that does not exist.
    """
    from pipeline.audit import audit

    settings = load_run_settings(config)
    if traces:
        _audit_traces(settings, sample, as_json=as_json)
        return
    if sample is not None:
        raise SettingsError("--sample goes with --traces")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=as_json) as bar:
        task = bar.add_task("compared", total=None)
        looking = audit(
            settings,
            topics=topic or (),
            partition=partition,
            from_offset=from_offset,
            to_offset=to_offset,
            since_ms=milliseconds("--since", since),
            until_ms=milliseconds("--until", until),
            to_end=to_end,
            report=lambda done, total: bar.update(task, completed=done, total=total),
        )
        try:
            result = asyncio.run(looking)
        except TopicMissing as error:
            # Not that a server has refused something, but that nothing is proved.
            bar.stop()
            err.print(f"[bold red]error:[/] {escape(str(error))}: nothing was compared", soft_wrap=True)
            raise typer.Exit(1) from None
    if as_json:
        print_json(result_as_json(result))
    else:
        print_audit(result, settings)
    if not result.clean:
        raise typer.Exit(1)


def _audit_traces(settings: Settings, sample: int | None, *, as_json: bool) -> None:
    from pipeline.traces.proof import prove_traces

    with Progress(TextColumn("{task.description}"), console=err, transient=True, disable=as_json) as bar:
        task = bar.add_task("compared")
        proof = asyncio.run(
            prove_traces(
                settings,
                sample=sample,
                report=lambda n: bar.update(task, description=f"{n:,} traces compared"),
            )
        )
    names = ("traces", "equal", "missing", "twice", "fewer", "more", "pending")
    counts = {name: getattr(proof, name) for name in names}
    if as_json:
        findings = [finding._asdict() for finding in proof.findings]
        result = {"clean": proof.clean, **counts, "findings": findings}
        sys.stdout.buffer.write(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()
    else:
        table = Table(*names, box=None, header_style="bold", pad_edge=False)
        table.add_row(*[f"{count:,}" for count in counts.values()])
        out.print(table)
        for finding in proof.findings:
            told = f"{finding.what}  {finding.trace_id}  {finding.events} events, {finding.counted} in its summary"
            out.print(Text(told, style="yellow" if finding.what == "more" else "red"), soft_wrap=True)
        if proof.clean:
            out.print("Every trace has one summary, and it counts all events of its trace.", style="green")
        elif not proof.traces - proof.pending:
            out.print("Nothing was compared: no trace is old enough to be closed.", style="yellow")
    if not proof.clean:
        raise typer.Exit(1)


def result_as_json(result: "AuditResult") -> dict[str, Any]:
    """Give what `--json` prints."""
    totals = (
        *("records", "expected", "indexed", "dropped", "own_ids", "dead"),
        *("missing", "duplicated", "expired", "corrupt", "not_committed"),
    )
    return {
        "clean": result.clean,
        "nothing_because": result.nothing_because,
        **{name: getattr(result, name) for name in totals},
        "partitions": [
            {
                **one.range._asdict(),
                **{name: getattr(one, name) for name in _COUNTS},
                "not_committed": one.not_committed,
                "commit_of_earlier_topic": one.commit_of_earlier_topic,
            }
            for one in result.partitions
        ],
        "findings": [finding._asdict() for finding in result.findings],
        "unread": [unread._asdict() for unread in result.unread],
    }


def print_audit(result: "AuditResult", settings: Settings) -> None:
    """Print what was counted and found, and one sentence that says whether all is well."""
    shown = [name for name in _COUNTS if name not in _OF_FILTERS or getattr(result, name)]
    names = ("partition", "offsets", *(_HEADINGS.get(name, name) for name in shown))
    columns = (Column("topic"), *(Column(name, number=True) for name in names))
    totals = [f"{sum(getattr(one, name) for one in result.partitions):,}" for name in shown]
    rows = []
    for one in result.partitions:
        topic, partition, start, end = one.range
        counts = [f"{getattr(one, name):,}" for name in shown]
        rows.append([topic, str(partition), f"{start}-{end}", *counts])
    print_table(out, columns, rows, total=("all", "", "", *totals) if len(rows) > 1 else ())
    for finding in result.findings:
        where = f"{finding.topic}/{finding.partition}@{finding.offset}"
        text = f"{finding.what}  {where}  {finding.id}  {', '.join(finding.indices)}"
        out.print(Text(text.rstrip(), style="red"), soft_wrap=True)
    for what, topic, number, start, end in result.unread:
        out.print(Text(f"{topic}/{number}@{start}-{end - 1}  {_UNREAD[what]}", style="red"), soft_wrap=True)
    for topic in sorted({one.range.topic for one in result.partitions if one.commit_of_earlier_topic}):
        out.print(
            Text(
                f"The topic {topic} has been made anew since the group {settings.kafka.group_id} committed: nothing "
                "of it counts as committed until a worker has read it.",
                style="yellow",
            ),
            soft_wrap=True,
        )
    if result.not_committed:
        out.print(
            f"Not looked at: {result.not_committed:,} offsets that the group {settings.kafka.group_id} has not "
            "committed; --to-end looks at all that Kafka holds.",
            style="yellow",
        )
    if not result.records:
        why = result.nothing_because or "there is no record in these ranges"
        out.print(Text(f"Nothing was compared, and that proves nothing: {why}.", style="red"), soft_wrap=True)
    elif result.own_ids and result.own_ids == result.expected - result.dropped:
        out.print("Nothing was proved: all ids are the configuration's own.", style="yellow")
    elif result.clean:
        out.print("Nothing is missing, nothing is there twice.", style="green")
