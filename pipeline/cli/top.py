"""The command `logpipe top`: ask `/metrics` again and again, draw what it says."""

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live

from pipeline.cli.options import ConfigOption, load_run_settings
from pipeline.cli.terminal import out
from pipeline.errors import ServerUnavailable

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from rich.console import Group

    from pipeline.diagnostics.top import History

__all__ = ["top_command"]

_TIMEOUT_SECONDS = 5.0
_WITHOUT_A_TERMINAL = 200
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what is listened on, not what is asked


def top_command(
    config: ConfigOption = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Of the pipeline: http://host:8000. That of http.host and http.port unless given.",
        ),
    ] = None,
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between two readings.")] = 1.0,
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Print one screen and end; so it is too where the output is no terminal."
        ),
    ] = False,
) -> None:
    """Watch a pipeline live: events, lag with its end, partitions, retries, what waits, pace, errors, workers.

    It reads `/metrics`, here or of another machine. Ctrl-C ends it. Exit code 3 when nobody answers at the start.
    """
    settings = load_run_settings(config)
    if url is None:
        host = _EVERY_ADDRESS.get(str(settings.http.host), str(settings.http.host))
        url = f"http://{host}:{settings.http.port}"
    base = url.removesuffix("/").removesuffix("/metrics")
    with suppress(KeyboardInterrupt):
        asyncio.run(_once(base, interval) if once or not out.is_terminal else _watch(base, interval))


async def _once(base: str, interval: float) -> None:
    from aiohttp import ClientSession

    from pipeline.diagnostics.top import History

    history = History()
    async with ClientSession() as session:
        for number in range(2):
            if number:
                await asyncio.sleep(interval)
            if problem := await _ask(session, base, history):
                raise ServerUnavailable(problem)
        reason = await _reason(session, base)
    if out.is_terminal:
        out.print(_screen(history, base, reason, out.width, 10_000))
    else:
        out.width = _WITHOUT_A_TERMINAL
        out.print(_screen(history, base, reason, _WITHOUT_A_TERMINAL, 10_000))


async def _watch(base: str, interval: float) -> None:
    from aiohttp import ClientSession

    from pipeline.diagnostics.top import History

    history, away_since = History(), 0.0
    async with ClientSession() as session:
        if problem := await _ask(session, base, history):
            raise ServerUnavailable(problem)
        with Live(console=out, screen=True, auto_refresh=False) as live:
            while True:
                if problem:
                    away_since = away_since or time.monotonic()
                    shown = f"Since {time.monotonic() - away_since:.0f} s: {problem}. What is below is older."
                else:
                    away_since, shown = 0.0, await _reason(session, base)
                live.update(_screen(history, base, shown, out.width, out.height), refresh=True)
                await asyncio.sleep(interval)
                problem = await _ask(session, base, history)


def _screen(history: "History", base: str, problem: str, width: int, height: int) -> "Group":
    from pipeline.cli.top_screen import draw

    plain = not out.encoding.startswith("utf")
    return draw(history.view(), title=base, problem=problem, width=width, height=height, plain=plain)


async def _ask(session: "ClientSession", base: str, history: "History") -> str:
    """Take one reading; gives why there is none, or nothing."""
    from aiohttp import ClientError, ClientTimeout

    from pipeline.diagnostics.top import read_metrics

    try:
        async with session.get(
            f"{base}/metrics", timeout=ClientTimeout(total=_TIMEOUT_SECONDS), raise_for_status=True
        ) as response:
            text = await response.text()
        reading = read_metrics(text, time.monotonic())
    except (ClientError, TimeoutError, ValueError) as error:
        return f"no metrics from {base} (--url): {str(error) or type(error).__name__}"
    if not reading.series:
        return f"{base} is no logpipe: its metrics have none of ours (--url)"
    history.add(reading)
    return ""


async def _reason(session: "ClientSession", base: str) -> str:
    """Ask why the pipeline is not ready; nothing when it is, or does not say."""
    from aiohttp import ClientError, ClientTimeout

    try:
        async with session.get(
            f"{base}/health/ready", timeout=ClientTimeout(total=_TIMEOUT_SECONDS)
        ) as response:
            told = await response.json()
    except (ClientError, TimeoutError, ValueError):
        return ""
    return str(told.get("reason") or "") if isinstance(told, dict) else ""
