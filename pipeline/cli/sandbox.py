"""The command `logpipe sandbox`: a real Kafka and a real Elasticsearch until Ctrl-C."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.terminal import out, say
from pipeline.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from pipeline.sandbox import Servers

__all__ = ["sandbox_command", "sandbox_starter"]


def sandbox_command(
    directory: Annotated[
        Path | None, typer.Option(help="Keep data here for the next start; else they go with the servers.")
    ] = None,
    kafka_port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of Kafka.")] = 9092,
    elasticsearch_port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of Elasticsearch.")] = 9200,
) -> None:
    """Run a real Kafka and a real Elasticsearch on this machine until Ctrl-C."""
    start_sandbox = sandbox_starter()
    with start_sandbox(
        directory, kafka_port=kafka_port, elasticsearch_port=elasticsearch_port, report=say
    ) as servers:
        out.print(f"Kafka          {servers.kafka_bootstrap}")
        out.print(f"Elasticsearch  {servers.elasticsearch_url}")
        out.print("The defaults of `logpipe` point there: next `logpipe setup --without-ilm`, `logpipe run`.")
        out.print("Ctrl-C stops both.")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


def sandbox_starter() -> "Callable[..., AbstractContextManager[Servers]]":
    """Return `start_sandbox`; raises SandboxError when the optional extra is not installed."""
    try:
        from pipeline.sandbox import start_sandbox
    except ImportError as error:
        raise SandboxError(
            f"the sandbox needs an extra: pip install 'kafka-log-pipeline[sandbox]' (no {error.name})"
        ) from error
    return start_sandbox
