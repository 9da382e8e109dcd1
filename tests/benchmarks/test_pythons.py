"""The worker on several builds of Python: each build is named, takes its turns, and has read everything."""

import platform
import subprocess
import sys

import pytest

from benchmarks.machine import describe_machine
from benchmarks.pythons import Build, as_markdown, measure
from benchmarks.usage import Usage
from pipeline.sandbox import Servers


def test_each_build_takes_its_turns(servers: Servers) -> None:
    (build,) = measure(servers.kafka_bootstrap, [sys.executable], 2000, 2)
    assert build.python.startswith(f"{platform.python_version()} with")
    assert len(build.ours) == len(build.floor) == 2
    assert all(used.cpu_seconds > 0 for used in [*build.ours, *build.floor])


def test_what_is_no_python_is_refused() -> None:
    with pytest.raises((subprocess.CalledProcessError, OSError)):
        measure("127.0.0.1:9", ["/bin/false"], 1000, 1)


def test_the_table_has_medians_and_the_least() -> None:
    builds = [
        Build(name, 1000, [Usage(cpu, cpu * 2, 10**8) for cpu in (0.005, 0.004, 0.009)], [Usage(0.002, 1, 1)])
        for name in ("3.11.7 without PGO", "3.13.5 with PGO")
    ]
    table = as_markdown(builds, describe_machine(), "2026-01-02T03:04:05+00:00")
    assert "| 3.13.5 with PGO | 5.00 (4.00) | 2.00 (2.00) | 100,000 | 100 MB |" in table
    assert "2026-01-02" in table
    assert "1,000 events, 3 rounds" in table
