"""The screen of `logpipe top`: a view written as lines that fit into a terminal of any size."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, Group
from rich.text import Text

from pipeline.diagnostics.top import PartitionView, View
from pipeline.telemetry.quantities import as_bytes, as_count, as_duration, as_rate

__all__ = ["draw", "sparkline"]

_BARS, _PLAIN_BARS = "▁▂▃▄▅▆▇█", "_.-:=+*#"
_NARROW = 60
_LEAST_SPARK, _MOST_SPARK = 6, 30
_ERRORS = 4
_LEAST_PARTITIONS = 3


def draw(view: View, *, title: str, problem: str, width: int, height: int, plain: bool = False) -> Group:
    """Write a view as at most `height` lines of at most `width` cells.

    problem -- why the view is not of now, or why the pipeline is not ready; may be empty
    plain -- for a terminal that can write ASCII alone
    """
    head = [*_head(view, title), *([Text(problem, "bold red")] if problem else []), *_totals(view)]
    troubles = list(_troubles(view))
    errors = _errors(view)
    room = height - sum(_lines(line, width) for line in (*head, *troubles)) - 1
    shown = min(len(view.partitions), max(room - len(errors), _LEAST_PARTITIONS))
    partitions = list(_partitions(view.partitions, shown, width, plain=plain))
    lines = [piece for line in (*head, *troubles, *partitions, *errors) for piece in _wrapped(line, width)]
    return Group(*lines[:height])


def sparkline(values: Sequence[float], width: int, *, plain: bool = False) -> str:
    """Draw the last values as bars, the highest of them as the full height."""
    bars = _PLAIN_BARS if plain else _BARS
    values = values[-width:]
    most = max(values, default=0)
    if most <= 0:
        return (bars[0] * len(values)).rjust(width)
    last = len(bars) - 1
    return "".join(bars[min(last, round(value / most * last))] for value in values).rjust(width)


def _head(view: View, title: str) -> list[Text]:
    state = Text(" ready ", "bold white on green") if view.ready else Text(" not ready ", "bold white on red")
    line = Text.assemble(("logpipe ", "bold"), state, f"  {title}")
    parts = [
        Text(name, "green" if up else "bold red") if up else Text(f"{name} away", "bold red")
        for name, up in view.dependencies.items()
    ]
    if view.workers is not None:
        running, wanted = view.workers
        parts.append(Text(f"workers {running}/{wanted}", "" if running >= wanted else "bold red"))
    if view.restarts:
        parts.append(Text(f"restarts {view.restarts}", "yellow"))
    parts.append(Text(f"partitions {view.assigned}", "" if view.assigned else "yellow"))
    return [line, Text("  ").join(parts)]


def _totals(view: View) -> Iterable[Text]:
    yield _named(
        ("in", f"{as_rate(view.documents_per_second)} {as_bytes(view.bytes_per_second)}/s"),
        ("out", f"{as_rate(view.settled_per_second)} {as_bytes(view.sent_bytes_per_second)}/s"),
    )
    yield _named(
        ("lag", _lag(view)),
        ("in flight", f"{view.in_flight_records:,} records {as_bytes(view.in_flight_bytes)}"),
    )
    pace = f"{view.concurrency} requests of {as_bytes(view.request_bytes)}"
    if view.seconds_a_request is not None:
        pace += f", {as_duration(view.seconds_a_request)} each"
    why = ", ".join(f"{reason} {times}x" for reason, times in view.slowdowns.items())
    yield _named(("pace", pace), *((("slowed by", why),) if why else ()))
    yield _counted("documents", view.outcomes, {"dead_lettered": "red", "read_again": "yellow"})


def _lag(view: View) -> str:
    if view.lag is None:
        return "unknown"
    if view.lag_unknown:
        return f"{view.lag:,} and unknown of {view.lag_unknown} partitions"
    if not view.lag:
        return "0"
    if view.eta_seconds is not None:
        return f"{view.lag:,} (0 in {as_duration(view.eta_seconds)})"
    return f"{view.lag:,} ({'growing' if view.lag_grows else 'not falling'})"


def _troubles(view: View) -> Iterable[Text]:
    if view.retries:
        yield _counted("retries", view.retries, {})
    if view.salvaged:
        yield _named(("salvaged", f"{view.salvaged:,}"))
    if view.waiting:
        names = ", ".join(f"{index} {number:,}" for index, number in view.waiting.items())
        yield Text.assemble(("waiting for its index ", "bold yellow"), names)
    if view.dead_letters:
        names = ", ".join(f"{kind} {number:,}" for kind, number in view.dead_letters.items())
        yield Text.assemble(("dead letters ", "bold red"), names)
    if view.flood:
        yield Text(
            "Too many documents are refused: nothing more is read (dead_letters.max_ratio).", "bold red"
        )
    if view.stopped:
        yield Text.assemble(("stands before a damaged batch ", "bold red"), ", ".join(view.stopped))
    if view.behind_others:
        names = ", ".join(f"{worker} for {as_duration(age)}" for worker, age in view.behind_others.items())
        yield Text.assemble(("indexes nothing while others do: worker ", "bold red"), names)
    if view.commit_failures:
        yield _named(("commits refused", f"{view.commit_failures:,}"))


def _partitions(
    partitions: Sequence[PartitionView], shown: int, width: int, *, plain: bool
) -> Iterable[Text]:
    """Write the partitions with the largest lag, in their order; the others are counted."""
    if not partitions:
        return
    kept = partitions
    if len(partitions) > shown:
        worst = sorted(partitions, key=lambda one: (-_known(one), -one.rate))[: max(shown - 1, 1)]
        kept = [one for one in partitions if one in worst]
    names = [f"{one.topic}/{one.partition}" for one in kept]
    lags = ["?" if one.lag is None else f"{one.lag:,}" for one in kept]
    rates = [as_rate(one.rate) for one in kept]
    heads = ("partition", "lag", "out")
    widths = [max(map(len, (head, *texts))) for head, texts in zip(heads, (names, lags, rates), strict=True)]
    spark = min(_MOST_SPARK, width - sum(widths) - 6)
    if spark < _LEAST_SPARK:  # the beginning of a long topic is what one can do without
        widths[0] = max(widths[0] - (_LEAST_SPARK - spark), len("…/000"))
        spark = _LEAST_SPARK
    yield Text(f"{heads[0]:<{widths[0]}}  {heads[1]:>{widths[1]}}  {heads[2]:>{widths[2]}}", "bold")
    for one, name, lag, rate in zip(kept, names, lags, rates, strict=True):
        short = name if len(name) <= widths[0] else f"…{name[1 - widths[0] :]}"
        yield Text.assemble(
            (f"{short:<{widths[0]}}  ", "dim" if one.lag == 0 else ""),
            (f"{lag:>{widths[1]}}  ", "dim" if one.lag == 0 else "yellow"),
            f"{rate:>{widths[2]}}  ",
            (sparkline(one.rates, spark, plain=plain), "cyan"),
        )
    if len(partitions) > len(kept):
        rest = sum(_known(one) for one in partitions if one not in kept)
        yield Text(f"and {len(partitions) - len(kept)} more, with a lag of {rest:,}", "dim")


def _known(one: PartitionView) -> int:
    return one.lag or 0


def _errors(view: View) -> list[Text]:
    shown = view.errors[:_ERRORS]
    if not shown:
        return []
    return [
        Text("errors in the logs, by fingerprint: in the last minute, of all", "bold"),
        *(
            Text.assemble(
                (f"{error.new:>6,} ", "red" if error.new else "dim"),
                (f"{error.events:>8,}  ", "dim"),
                (error.fingerprint, "magenta"),
                f"  {error.service}",
            )
            for error in shown
        ),
    ]


def _named(*parts: tuple[str, str]) -> Text:
    text = Text()
    for number, (name, value) in enumerate(parts):
        text.append("   " if number else "")
        text.append(f"{name} ", "bold")
        text.append(value)
    return text


def _counted(name: str, counts: Mapping[str, tuple[int, float]], styles: Mapping[str, str]) -> Text:
    text = Text.assemble((f"{name} ", "bold"))
    for number, (value, (count, rate)) in enumerate(counts.items()):
        text.append("  " if number else "")
        text.append(f"{value.replace('_', ' ')} {as_count(count)}", styles.get(value, ""))
        if rate:
            text.append(f" ({as_rate(rate)})", "dim")
    if not counts:
        text.append("none yet", "dim")
    return text


def _wrapped(line: Text, width: int) -> list[Text]:
    """Break a line between its parts where the terminal is too narrow; nothing is cut off but at the bottom."""
    if line.cell_len <= width:
        line.no_wrap = True
        return [line]
    return list(line.wrap(Console(width=width, no_color=True), width))


def _lines(line: Text, width: int) -> int:
    return len(_wrapped(line.copy(), width))
