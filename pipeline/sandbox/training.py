"""Record the AOT caches (see `aot_cache.py`): run each server once for nothing, then never again."""

import shutil
import tempfile
import time
from pathlib import Path

from pipeline.errors import SandboxError
from pipeline.sandbox.aot_cache import aot_cache_folder, is_settled
from pipeline.sandbox.artifacts import Report, elasticsearch_jars, kafka_jars
from pipeline.sandbox.cache import exclusive
from pipeline.sandbox.elasticsearch import Elasticsearch
from pipeline.sandbox.kafka import Kafka

__all__ = ["prepare_quick_starts"]

_ASSEMBLY_TIMEOUT_SECONDS = 180
_KEEP_UNUSED_SECONDS = 14 * 24 * 3600


def prepare_quick_starts(cache: Path | None = None, report: Report | None = None) -> None:
    """Fetch the servers and record their AOT caches, if either has not been done on this machine.

    The first time this takes half a minute on two cores; later it takes none.

    Raises SandboxError when a jar cannot be fetched.
    """
    elasticsearch_jars(cache, report)
    kafka_jars(cache, report)
    home = Path(tempfile.mkdtemp(prefix="logpipe-sandbox-"))
    try:
        servers = (
            Elasticsearch(home / "elasticsearch", cache=cache, record=True, remove_when_orphaned=True),
            Kafka(home / "kafka", cache=cache, record=True, remove_when_orphaned=True),
        )
        if all(is_settled(server.aot_cache) for server in servers):
            return
        with exclusive(aot_cache_folder(cache)):
            untrained = [server for server in servers if not is_settled(server.aot_cache)]
            if untrained and report:
                report("preparing quick starts (half a minute, once)")
            _remove_unused(aot_cache_folder(cache))
            _train(untrained)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _train(servers: list[Elasticsearch | Kafka]) -> None:
    try:
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_until_ready()
        for server in servers:
            server.ask_to_stop()  # they write their caches side by side
        for server in servers:
            server.stop(_ASSEMBLY_TIMEOUT_SECONDS)
    except SandboxError:
        pass  # whatever is wrong, the start that follows will say so, and keep its log
    finally:
        for server in servers:
            server.kill()
    for server in servers:
        if server.aot_recording.exists():
            server.aot_recording.replace(server.aot_cache)
        else:
            server.aot_cache.touch()  # do not try at every start


def _remove_unused(folder: Path) -> None:
    """Remove what belonged to versions and environments that are gone; each is about 100 MB."""
    for file in folder.glob("*.aot*"):
        if time.time() - file.stat().st_mtime > _KEEP_UNUSED_SECONDS:
            file.unlink(missing_ok=True)
