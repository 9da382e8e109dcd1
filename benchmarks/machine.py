"""What the figures were measured on: nothing that names the machine or its owner."""

import os
import platform
import sysconfig
from importlib.metadata import version
from pathlib import Path

from pipeline.sandbox import ELASTICSEARCH_VERSION, KAFKA_VERSION

__all__ = ["describe_machine", "describe_python"]

_CPUINFO = Path("/proc/cpuinfo")
# Debian's packages, and those made of them, are built with PGO and LTO for x86-64 and arm64, as their changelog says;
# what they were configured with does not tell.
_DEBIANS = "--with-wheel-pkg-dir=/usr/share/python-wheels/"
_DEBIAN = Path("/etc/debian_version")
_PACKAGES = ("aiokafka", "orjson", "elasticsearch", "uvloop")


def describe_machine() -> dict[str, str | int]:
    """Tell the CPU, the number of cores, and the versions that matter."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": describe_python(),
        **{package: version(package) for package in _PACKAGES},
        "kafka_server": KAFKA_VERSION,
        "elasticsearch_server": ELASTICSEARCH_VERSION,
    }


def describe_python() -> str:
    """Tell its version, and whether it was built with profile-guided optimisation, on which the figures depend."""
    return f"{platform.python_version()} {_optimisation()}"


def _optimisation() -> str:
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS"))
    flags = str(sysconfig.get_config_var("PY_CORE_CFLAGS"))
    if _DEBIANS in arguments and _DEBIAN.exists():
        return "with PGO (Debian's package)"
    guided = "--enable-optimizations" in arguments or "-fprofile-use" in flags
    return "with PGO" if guided else "without PGO"


def _cpu_model() -> str:
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text("utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
