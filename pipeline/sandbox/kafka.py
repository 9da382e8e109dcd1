"""Run one Kafka broker, with its own KRaft controller, on this machine."""

import base64
import json
import socket
import struct
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.sandbox.aot_cache import reading_options
from pipeline.sandbox.artifacts import KAFKA_VERSION, Report, kafka_jars
from pipeline.sandbox.java import java_environment, java_executable
from pipeline.sandbox.ports import LOOPBACK, free_port
from pipeline.sandbox.process import ServerProcess

__all__ = ["Kafka"]

_LONG_MAX = 2**63 - 1
_MESSAGE_MAX_BYTES = 10 * 1024 * 1024
# It takes two seconds, or a minute on a machine that is very busy.
_FORMAT_TIMEOUT_SECONDS = 120
_PROBE_TIMEOUT_SECONDS = 2

# Metadata v1 without topics: which brokers take part in the cluster? A broker is listed, with its rack, once it may
# lead partitions; its port is open before that. https://kafka.apache.org/protocol#The_Messages_Metadata
_METADATA_REQUEST = struct.pack(">hhihi", 3, 1, 1, -1, 0)
_LENGTH = struct.Struct(">i")
_LONGEST_ANSWER_BYTES = 1 << 20  # of a server that may not be Kafka


class Kafka(ServerProcess):
    """A broker that keeps its data in a directory and can be killed and started again.

    directory -- home of configuration, data and log
    port -- where clients connect; one is chosen if None
    heap_mb -- size of its Java heap
    settings -- further broker properties, which win over ours
    scram_users -- users of SCRAM that are there from the start, such as "SCRAM-SHA-256=[name=a,password=b]"
    cache, report, start_timeout_seconds, remove_when_orphaned, record -- see ServerProcess
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        heap_mb: int = 512,
        settings: Mapping[str, str] | None = None,
        scram_users: Sequence[str] = (),
        cache: Path | None = None,
        report: Report | None = None,
        start_timeout_seconds: float = 120,
        remove_when_orphaned: bool = False,
        record: bool = False,
    ) -> None:
        super().__init__(
            f"Kafka {KAFKA_VERSION}",
            directory,
            port=port,
            port_option="--kafka-port",
            start_timeout_seconds=start_timeout_seconds,
            remove_when_orphaned=remove_when_orphaned,
            cache=cache,
            record=record,
            report=report,
        )
        self.bootstrap = f"{LOOPBACK}:{self.port}"
        self._controller_port = free_port()
        self._heap_mb = heap_mb
        self._settings = dict(settings or {})
        self._scram_users = tuple(scram_users)

    def _prepare(self) -> list[str]:
        properties = self.directory / "server.properties"
        settings = self._defaults() | self._settings
        # JSON's escapes are those of Java's property files.
        lines = (f"{name}={json.dumps(value)[1:-1]}\n" for name, value in settings.items())
        properties.write_text("".join(lines), "ascii")
        if not (self._data / "meta.properties").exists():
            self._format(properties)
        return self._command("kafka.Kafka", str(properties), options=self._quick_start_options())

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _defaults(self) -> dict[str, str]:
        defaults: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{LOOPBACK}:{self._controller_port}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{LOOPBACK}:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self._data,
            "broker.rack": self._token,
            # One node keeps every internal topic; in few partitions, as the first consumer waits for them.
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # After a kill -9 the controller takes the new process for an impostor until the session of the
            # old one is over: 9 s by default.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            # Consumers of tests come and go quickly.
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "auto.create.topics.enable": "false",
            "message.max.bytes": _MESSAGE_MAX_BYTES,
            "replica.fetch.max.bytes": _MESSAGE_MAX_BYTES,
            # Sample records may be of any time: do not delete old ones, cut a segment for each of their days,
            # or refuse those of tomorrow.
            "log.retention.ms": -1,
            "log.retention.bytes": -1,
            "log.roll.ms": _LONG_MAX,
            "log.message.timestamp.after.max.ms": _LONG_MAX,
            # Sized for one developer's machine; the cleaner alone would take 128 MB of the heap.
            "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
            "num.network.threads": 2,
            "num.io.threads": 4,
        }
        return {name: str(value) for name, value in defaults.items()}

    def _format(self, properties: Path) -> None:
        """Give the data directory its identity, as `kafka-storage.sh format` does."""
        # A fixed first letter: one in 64 ids would begin with a dash and be taken for an option.
        cluster = "K" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        command = self._command(
            *("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)),
            *(word for user in self._scram_users for word in ("--add-scram", user)),
            options=[*reading_options(self.aot_cache), "-XX:TieredStopAtLevel=1"],
        )
        with self.log.open("ab") as log:
            try:
                subprocess.run(  # noqa: S603 - a command made here
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=java_environment(),
                    timeout=_FORMAT_TIMEOUT_SECONDS,
                    check=True,
                )
            except subprocess.TimeoutExpired as error:
                raise self._failure(
                    f"did not format its data directory within {_FORMAT_TIMEOUT_SECONDS} s"
                ) from error
            except subprocess.CalledProcessError as error:
                raise self._failure(
                    f"could not format its data directory (exit code {error.returncode})"
                ) from error

    def _command(self, *arguments: str, options: list[str]) -> list[str]:
        return [str(java_executable()), *self._java_options(), *options, *arguments]

    def _java_options(self) -> list[str]:
        return [
            f"-Xms{min(256, self._heap_mb)}m",
            f"-Xmx{self._heap_mb}m",
            "-XX:+UseG1GC",  # with the pauses that Kafka's own start script asks for
            "-XX:MaxGCPauseMillis=20",
            "-XX:InitiatingHeapOccupancyPercent=35",
            "-Djava.awt.headless=true",
            "--sun-misc-unsafe-memory-access=allow",  # or Java warns of it at every start
            f"-XX:ErrorFile={self.directory / 'java-crash.log'}",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            "-cp",
            ":".join(map(str, kafka_jars(self._cache, self._report))),
        ]

    def _answers(self) -> bool:
        with socket.create_connection((LOOPBACK, self.port), _PROBE_TIMEOUT_SECONDS) as connection:
            connection.sendall(_LENGTH.pack(len(_METADATA_REQUEST)) + _METADATA_REQUEST)
            head = connection.recv(_LENGTH.size, socket.MSG_WAITALL)
            if (
                len(head) < _LENGTH.size
                or not 0 <= (length := _LENGTH.unpack(head)[0]) <= _LONGEST_ANSWER_BYTES
            ):
                return False
            return self._token.encode() in connection.recv(length, socket.MSG_WAITALL)
