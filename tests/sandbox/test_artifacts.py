"""Jars are fetched once, checked, and shared by processes."""

import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from pipeline.errors import SandboxError
from pipeline.sandbox import ELASTICSEARCH_VERSION, KAFKA_VERSION, elasticsearch_jars, kafka_jars, x_pack_core
from pipeline.sandbox.cache import CACHE_VARIABLE, cache_directory

SMALL = "slf4j-simple-1.7.36.jar"


class Mirror(http.server.ThreadingHTTPServer):
    """A Maven repository on this machine, with the jars of the real cache."""

    jars: Path
    damage = False
    served: list[str]


class MirrorRequest(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        mirror = cast("Mirror", self.server)
        name = self.path.rpartition("/")[2]
        jar = mirror.jars / name
        if not jar.is_file():
            self.send_error(404)
            return
        mirror.served.append(name)
        content = jar.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(bytes(len(content)) if mirror.damage else content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    kafka_jars()
    with Mirror(("127.0.0.1", 0), MirrorRequest) as server:
        server.jars = cache_directory() / "jars"
        server.served = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = tmp_path / "jgo.conf"
        settings.write_text(f"[repositories]\ncentral = http://127.0.0.1:{server.server_port}\n", "utf-8")
        monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server
        server.shutdown()


@pytest.fixture
def nearly_full_cache(tmp_path: Path) -> Path:
    """A cache in which one of Kafka's jars is missing."""
    cache = tmp_path / "cache"
    (cache / "jars").mkdir(parents=True)
    for jar in kafka_jars():
        if jar.name != SMALL:
            (cache / "jars" / jar.name).symlink_to(jar)
    return cache


def test_a_second_call_returns_the_same_paths_at_once() -> None:
    first = (kafka_jars(), elasticsearch_jars(), x_pack_core())

    begin = time.monotonic()
    second = (kafka_jars(), elasticsearch_jars(), x_pack_core())

    assert time.monotonic() - begin < 0.5
    assert second == first
    assert any(jar.name == f"kafka-clients-{KAFKA_VERSION}.jar" for jar in first[0])
    assert any(jar.name == f"elasticsearch-{ELASTICSEARCH_VERSION}.jar" for jar in first[1].server)
    assert any(jar.name == f"transport-netty4-{ELASTICSEARCH_VERSION}.jar" for jar in first[1].http)
    assert first[2].jar.name == f"x-pack-core-{ELASTICSEARCH_VERSION}.jar"


def test_the_cache_is_the_argument_or_the_variable_or_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, "/somewhere")
    assert cache_directory(Path("/here")) == Path("/here")
    assert cache_directory() == Path("/somewhere")
    monkeypatch.delenv(CACHE_VARIABLE)
    assert cache_directory() == Path.home() / ".cache" / "kafka-log-pipeline"


def test_only_what_is_missing_is_fetched(mirror: Mirror, nearly_full_cache: Path) -> None:
    messages: list[str] = []

    jars = kafka_jars(nearly_full_cache, messages.append)

    assert mirror.served == [SMALL]
    assert messages == [f"fetching Kafka {KAFKA_VERSION} (1 MB, once)"]
    assert all(jar.is_file() for jar in jars)


def test_a_jar_that_was_cut_short_is_fetched_again(mirror: Mirror, nearly_full_cache: Path) -> None:
    stump = nearly_full_cache / "jars" / SMALL
    stump.write_bytes(b"PK")

    kafka_jars(nearly_full_cache)

    assert mirror.served == [SMALL]
    assert stump.stat().st_size > 2


def test_a_jar_with_other_content_is_refused(mirror: Mirror, nearly_full_cache: Path) -> None:
    mirror.damage = True

    with pytest.raises(SandboxError, match=r"could not fetch org.slf4j:slf4j-simple:1.7.36: its SHA-256 is"):
        kafka_jars(nearly_full_cache)

    assert not (nearly_full_cache / "jars" / SMALL).exists()
    assert not (nearly_full_cache / "jars" / ".fetching").exists()


def test_a_jar_that_is_not_to_be_had_is_named(
    mirror: Mirror, nearly_full_cache: Path, tmp_path: Path
) -> None:
    mirror.jars = tmp_path / "empty"

    with pytest.raises(SandboxError, match=r"could not fetch org.slf4j:slf4j-simple:1.7.36"):
        kafka_jars(nearly_full_cache)


def test_processes_share_a_cache(mirror: Mirror, nearly_full_cache: Path) -> None:
    code = (
        "import sys, pathlib; from pipeline.sandbox import kafka_jars; kafka_jars(pathlib.Path(sys.argv[1]))"
    )
    start = partial(subprocess.Popen, [sys.executable, "-c", code, str(nearly_full_cache)])

    assert [process.wait() for process in [start() for _ in range(3)]] == [0, 0, 0]

    assert mirror.served == [SMALL]


PARSE_POLICY = """
import sys
import jpype
from jpype import JClass, JProxy
from pipeline.sandbox import x_pack_core
from pipeline.sandbox.java import java_library

jpype.startJVM(
    "--enable-native-access=ALL-UNNAMED",
    jvmpath=str(java_library()),
    classpath=[str(jar) for jar in x_pack_core().classpath],
)
# Classes by name only: browsing packages with JPackage opens the jars, which Elasticsearch then cannot.
content = "org.elasticsearch.xcontent"
ilm = "org.elasticsearch.xpack.core.ilm"
entries = JClass("java.util.ArrayList")()

def register(category, name, parse):
    function = JProxy("org.elasticsearch.core.CheckedFunction", dict={"apply": parse})
    field = JClass(content + ".ParseField")(name)
    entries.add(JClass(content + ".NamedXContentRegistry$Entry")(JClass(category).class_, field, function))

timeseries = JClass(ilm + ".TimeseriesLifecycleType").INSTANCE
register(ilm + ".LifecycleType", "timeseries", lambda parser: timeseries)
register(ilm + ".LifecycleAction", "rollover", JClass(ilm + ".RolloverAction").parse)
register(ilm + ".LifecycleAction", "delete", JClass(ilm + ".DeleteAction").parse)
registry = JClass(content + ".NamedXContentRegistry")(entries)
configuration = JClass(content + ".XContentParserConfiguration").EMPTY.withRegistry(registry)
parser = JClass(content + ".json.JsonXContent").jsonXContent.createParser(configuration, sys.argv[1])
try:
    print("accepted", JClass(ilm + ".LifecyclePolicy").parse(parser, "p").getPhases().keySet())
except jpype.JException as error:
    while error.getCause() is not None:
        error = error.getCause()
    print("refused", error.getMessage())
"""


@pytest.mark.parametrize(
    ("phases", "answer"),
    [
        ({"delete": {"min_age": "90d", "actions": {"delete": {}}}}, "accepted [delete]"),
        (
            {"hot": {"actions": {"rollover": {}}}},
            "refused At least one max_* rollover condition must be set.",
        ),
    ],
)
def test_a_policy_is_parsed_by_the_real_parser(phases: dict[str, object], answer: str) -> None:
    policy = json.dumps({"phases": phases})
    done = subprocess.run(
        [sys.executable, "-c", PARSE_POLICY, policy], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == answer
