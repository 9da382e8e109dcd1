"""Run one Elasticsearch node on this machine."""

import http.client
import json
import logging
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.sandbox.artifacts import ELASTICSEARCH_VERSION, Report, elasticsearch_jars
from pipeline.sandbox.java import java_library
from pipeline.sandbox.ports import LOOPBACK, free_port
from pipeline.sandbox.process import ServerProcess
from pipeline.sandbox.zstd import find_libzstd

__all__ = ["Elasticsearch"]

_log = logging.getLogger(__name__)

_PROBE_TIMEOUT_SECONDS = 5
_LAUNCH_ATTRIBUTE = "sandbox_launch"

# The module that serves HTTP is loaded by Elasticsearch itself, from a folder of its home.
_HTTP_MODULE = {
    "name": "transport-netty4",
    "description": "HTTP and transport",
    "version": ELASTICSEARCH_VERSION,
    "elasticsearch.version": ELASTICSEARCH_VERSION,
    "java.version": "21",
    "classname": "org.elasticsearch.transport.netty4.Netty4Plugin",
    "modulename": "org.elasticsearch.transport.netty4",
    "extended.plugins": "",
    "has.native.controller": "false",
}


class Elasticsearch(ServerProcess):
    """A node that keeps its data in a directory and can be killed and started again.

    has_zstd -- whether indices may have `codec: best_compression`; without a libzstd on this machine their
        shards would fail

    directory -- home of configuration, data and log
    port -- where clients connect; one is chosen if None
    heap_mb -- size of its Java heap
    settings -- further node settings, which win over ours
    cache, report, start_timeout_seconds, remove_when_orphaned, record -- see ServerProcess
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        heap_mb: int = 1024,
        settings: Mapping[str, str] | None = None,
        cache: Path | None = None,
        report: Report | None = None,
        start_timeout_seconds: float = 120,
        remove_when_orphaned: bool = False,
        record: bool = False,
    ) -> None:
        super().__init__(
            f"Elasticsearch {ELASTICSEARCH_VERSION}",
            directory,
            port=port,
            port_option="--elasticsearch-port",
            start_timeout_seconds=start_timeout_seconds,
            remove_when_orphaned=remove_when_orphaned,
            cache=cache,
            record=record,
            report=report,
        )
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._libzstd = find_libzstd()
        self.has_zstd = self._libzstd is not None
        self._transport_port = free_port()
        self._heap_mb = heap_mb
        self._settings = dict(settings or {})

    def _prepare(self) -> list[str]:
        for folder in ("config", "data", "logs", "plugins", "tmp"):
            (self.directory / folder).mkdir(exist_ok=True)
        self._prepare_http_module()
        self._prepare_libzstd()
        launch_file = self.directory / "config" / "launch.json"
        launch = {
            "library": str(java_library()),
            "options": [*self._java_options(), *self._quick_start_options()],
            "home": str(self.directory),
            "settings": self._defaults() | self._settings,
        }
        launch_file.write_text(json.dumps(launch, indent=2), "utf-8")
        # -P: the working directory is the user's, and may hold a `pipeline` of their own.
        return [sys.executable, "-P", "-m", "pipeline.sandbox.elasticsearch_process", str(launch_file)]

    def _prepare_http_module(self) -> None:
        module = self.directory / "modules" / "transport-netty4"
        module.mkdir(parents=True, exist_ok=True)
        for stale in module.iterdir():
            stale.unlink()
        for jar in elasticsearch_jars(self._cache, self._report).http:
            (module / jar.name).symlink_to(jar)
        descriptor = "".join(f"{name}={value}\n" for name, value in _HTTP_MODULE.items())
        (module / "plugin-descriptor.properties").write_text(descriptor, "utf-8")

    def _prepare_libzstd(self) -> None:
        machine = {"x86_64": "x64", "amd64": "x64", "arm64": "aarch64"}.get(
            platform.machine().lower(), platform.machine()
        )
        folder = self.directory / "lib" / "platform" / f"{platform.system().lower()}-{machine}"
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / ("libzstd.dylib" if sys.platform == "darwin" else "libzstd.so")
        link.unlink(missing_ok=True)
        if self._libzstd:
            link.symlink_to(self._libzstd)
        else:
            message = "no libzstd on this machine: Elasticsearch runs without codec best_compression"
            _log.warning(message)
            if self._report:
                self._report(message)

    def _java_options(self) -> list[str]:
        jars = elasticsearch_jars(self._cache, self._report).server
        return [
            f"-Xms{self._heap_mb}m",
            f"-Xmx{self._heap_mb}m",
            f"-XX:MaxDirectMemorySize={max(64, self._heap_mb // 2)}m",
            # From here to the netty lines: as Elasticsearch's own jvm.options has it. The serial collector
            # takes 0.4 GB less memory at the same CPU per document, but is not what production runs.
            "-XX:+UseG1GC",
            "-Xss1m",
            "-Djava.awt.headless=true",
            "-Dfile.encoding=UTF-8",
            "-XX:-OmitStackTraceInFastThrow",
            "-Dlog4j.shutdownHookEnabled=false",
            "-Dlog4j2.disable.jmx=true",
            "-Dlog4j2.formatMsgNoLookups=true",
            "-Dio.netty.noUnsafe=true",
            "-Dio.netty.noKeySetOptimization=true",
            "-Dio.netty.recycler.maxCapacityPerThread=0",
            "-Xrs",  # SIGTERM is for elasticsearch_process
            f"-XX:ErrorFile={self.directory / 'java-crash.log'}",
            f"-Djava.io.tmpdir={self.directory / 'tmp'}",
            f"-Des.path.home={self.directory}",
            # The server must run as named modules: it asks for its own module when it loads others.
            f"--module-path={':'.join(map(str, jars))}",
            "--add-modules=org.elasticsearch.server,org.elasticsearch.nativeaccess",
            "--enable-native-access=ALL-UNNAMED,org.elasticsearch.nativeaccess,org.apache.lucene.core",
            "-Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false",  # a native library of its own
        ]

    def _defaults(self) -> dict[str, str]:
        return {
            "cluster.name": "sandbox",
            "node.name": "sandbox",
            f"node.attr.{_LAUNCH_ATTRIBUTE}": self._token,
            "path.home": str(self.directory),
            "path.data": str(self.directory / "data"),
            "path.logs": str(self.directory / "logs"),
            "discovery.type": "single-node",
            "http.host": LOOPBACK,
            "http.port": str(self.port),
            "transport.host": LOOPBACK,
            "transport.port": str(self._transport_port),
            "logger.level": "INFO",
            # A developer's disk is nearly full more often than not; indices would become read-only.
            "cluster.routing.allocation.disk.threshold_enabled": "false",
        }

    def _answers(self) -> bool:
        """Ask which node this is, then for the cluster's health; yellow means that every primary shard is there."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=_PROBE_TIMEOUT_SECONDS)
        try:
            connection.request("GET", f"/_nodes/_local?filter_path=nodes.*.attributes.{_LAUNCH_ATTRIBUTE}")
            if self._token.encode() not in connection.getresponse().read():
                return False
            connection.request("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s")
            return connection.getresponse().status == http.client.OK
        except http.client.HTTPException:
            return False
        finally:
            connection.close()
