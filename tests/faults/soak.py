"""`make soak`: the whole fault suite again and again, beside one worker that never rests, and a report."""

import argparse
import json
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SUITE = "tests/faults"
STANDSTILL = f"{SUITE}/test_standstill.py"
RESULT = Path("benchmarks/results/soak.md")


def main() -> None:
    """Run rounds until the time is over; exit 1 if anything was missing, twice, or failed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=20, help="length of the steady scenario")
    arguments.add_argument("--still-minutes", type=float, default=15, help="how long the sink stands still")
    arguments.add_argument(
        "--blocked-minutes", type=float, default=10, help="how long an index stays blocked"
    )
    arguments.add_argument("--answer-seconds", type=float, default=60, help="how long each answer stays bad")
    arguments.add_argument("--kills", type=int, default=20, help="how often a process is taken away")
    arguments.add_argument("--rounds", type=int, default=1, help="how often the other scenarios run")
    options = arguments.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    rows: list[dict[str, Any]] = []
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        still = Path(directory) / "still.json"
        # It has servers of its own, and they and its worker do next to nothing: it runs beside the others.
        with started(
            command(still, STANDSTILL, f"--fault-still-seconds={options.still_minutes * 60}")
        ) as beside:
            for number in range(options.rounds):
                file = Path(directory) / f"{number}.json"
                length = options.minutes * 60 if number == 0 else 20
                suite = command(
                    file,
                    SUITE,
                    f"--ignore={STANDSTILL}",
                    f"--fault-rounds={options.kills}",
                    f"--fault-answer-seconds={options.answer_seconds}",
                    f"--fault-seconds={length}",
                    f"--fault-blocked-seconds={options.blocked_minutes * 60 if number == 0 else 20}",
                )
                with started(suite) as one:
                    failed += int(one.wait() != 0)
                rows += rows_of(file)
            failed += int(beside.wait() != 0)
            rows += rows_of(still)
    text = report(rows, (time.monotonic() - began) / 60, failed)
    RESULT.write_text(text)
    print(text)  # noqa: T201
    bad = failed or sum(row["missing"] + row["duplicated"] for row in rows)
    sys.exit(1 if bad else 0)


def command(file: Path, *options: str) -> list[str]:
    """Give the call of pytest that leaves its counts in a file."""
    return [sys.executable, "-m", "pytest", "-q", f"--fault-report={file}", *options]


@contextmanager
def started(call: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Start pytest; it is told to stop, and to stop what it has started, at the latest when the block is left."""
    # In a session of its own, so that Ctrl-C reaches it once: from here.
    process = subprocess.Popen(call, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Read the counts; none when the run was broken off."""
    return json.loads(file.read_text()) if file.exists() else []


def report(rows: list[dict[str, Any]], minutes: float, failed: int) -> str:
    """Write the table."""
    total = {
        name: sum(row[name] for row in rows) for name in ("events", "faults", "missing", "duplicated", "dead")
    }
    peak = max((row["peak_rss_mb"] for row in rows), default=0)
    head = (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {minutes:.0f} minutes, {failed} failed runs."
    )
    lines = [
        head,
        "",
        "| scenario | events | faults | missing | duplicated | dead letters | peak memory of a worker, MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *map(_row, rows),
        _row({**total, "scenario": "**all**", "peak_rss_mb": peak}),
    ]
    for row in [row for row in rows if len(row["memory_mb"]) > 8]:
        memory = row["memory_mb"]
        quarter = len(memory) // 4
        parts = [max(memory[start : start + quarter]) for start in range(0, 4 * quarter, quarter)]
        lines += [
            "",
            f'Memory of the worker in "{_name(row)}", most in each quarter of {len(memory)} samples: '
            + ", ".join(f"{part:.0f} MB" for part in parts)
            + ".",
        ]
    for row in [row for row in rows if row["throughput_ratio"] is not None]:
        lines += [
            "",
            f'Throughput in "{_name(row)}", by that before the fault: {row["throughput_ratio"]:.2f}.',
        ]
    return "\n".join(lines) + "\n"


def _name(row: dict[str, Any]) -> str:
    return str(row["scenario"]).replace("_", " ")


def _row(row: dict[str, Any]) -> str:
    cells = [
        _name(row),
        f"{row['events']:,}",
        f"{row['faults']:,}",
        str(row["missing"]),
        str(row["duplicated"]),
        f"{row['dead']:,}",
        f"{row['peak_rss_mb']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
