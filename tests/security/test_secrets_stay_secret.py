"""Every command, with secrets in its settings, on servers that take them, refuse them or are away."""

import base64
import json
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import urlopen

import psutil
import pytest
import typer.main
from typer.core import TyperGroup

from pipeline.cli.app import app
from pipeline.sandbox.ports import free_port
from tests.logpipe import logpipe, running
from tests.security.secured_kafka import PASSWORDS, SecuredKafka
from tests.security.tls_proxy import API_KEY, PASSWORD, USERNAME, TlsProxy

WRONG = "wr0ng-S3CRET-0f-both"
KAFKA_PASSWORD = PASSWORDS["SCRAM-SHA-512"]
NAME = "secrets"

# Beside these, every command without arguments; sandbox and demo take no settings.
ARGUMENTS: dict[tuple[str, ...], list[tuple[str, ...]]] = {
    ("setup",): [
        ("--without-ilm",),
        ("--without-ilm", "--dry-run"),
        ("--without-ilm", "--kibana", "https://127.0.0.1:1"),
        ("--print-roles",),
    ],
    ("generate",): [("--count", "20", "--days", "0.01")],
    ("probe",): [("--timeout", "2")],
    ("dlq", "replay"): [("--dry-run",), ()],
    # These would go on.
    ("tap",): [("--after", "2h", "--limit", "1")],
    ("top",): [("--once",)],
    ("shadow",): [("--against", "logstash-*")],
}
SERVICES = {("run",), ("index",)}
WITHOUT_SETTINGS = {("sandbox",), ("demo",)}


def commands() -> Iterator[tuple[str, ...]]:
    def walk(group: TyperGroup, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, command in group.commands.items():
            if isinstance(command, TyperGroup):
                yield from walk(command, (*path, name))
            else:
                yield (*path, name)

    top = typer.main.get_command(app)
    assert isinstance(top, TyperGroup)
    return walk(top, ())


ALL = [path for path in commands() if path not in WITHOUT_SETTINGS]
ONCE = [
    (*path, *arguments) for path in ALL if path not in SERVICES for arguments in ARGUMENTS.get(path, [()])
]


class Scenario(NamedTuple):
    """Settings, and the secrets among them."""

    settings: Mapping[str, str]
    secrets: tuple[str, ...]


def variables(**groups: Mapping[str, str]) -> dict[str, str]:
    return {
        f"LOGPIPE_{group}__{name}".upper(): value
        for group, settings in groups.items()
        for name, value in settings.items()
    }


@pytest.fixture(scope="module")
def scenarios(
    secured: SecuredKafka, secured_elasticsearch: TlsProxy, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Scenario]:
    directory = tmp_path_factory.mktemp("secrets")
    common = {"index": {"prefix": NAME}, "http": {"port": str(free_port())}}
    topic = {"topics": f"{NAME}.logs", "group_id": NAME}
    kafka = {**secured.settings("SASL_SSL", "SCRAM-SHA-512"), **topic}
    elasticsearch = secured_elasticsearch.settings(ca_certs=str(secured.ca_certs))
    nowhere = {
        "kafka": {**kafka, "bootstrap_servers": "127.0.0.1:1"},
        "elasticsearch": {**elasticsearch, "hosts": "https://127.0.0.1:1", "api_key": API_KEY},
    }

    (directory / "kafka.sasl_password").write_text(f"{KAFKA_PASSWORD}\n")
    (directory / "logpipe_elasticsearch").write_text(json.dumps({"username": USERNAME, "password": PASSWORD}))
    file = directory / "logpipe.yaml"
    wrong_kafka = {**kafka, "sasl_password": WRONG}
    wrong_elasticsearch = {**elasticsearch, "api_key": WRONG}
    file.write_text(json.dumps({**common, "kafka": wrong_kafka, "elasticsearch": wrong_elasticsearch}))
    from_files = {name: value for name, value in kafka.items() if name != "sasl_password"}
    return {
        "accepted, from variables": Scenario(
            variables(**common, kafka=kafka, elasticsearch={**elasticsearch, "api_key": API_KEY}),
            (KAFKA_PASSWORD, API_KEY),
        ),
        "accepted, from secret files": Scenario(
            {
                **variables(**common, kafka=from_files, elasticsearch=elasticsearch),
                "LOGPIPE_SECRETS_DIR": str(directory),
            },
            (KAFKA_PASSWORD, PASSWORD),
        ),
        "refused by both, from a settings file": Scenario({"LOGPIPE_CONFIG": str(file)}, (WRONG,)),
        "refused by Elasticsearch": Scenario(
            variables(**common, kafka=kafka, elasticsearch=wrong_elasticsearch), (KAFKA_PASSWORD, WRONG)
        ),
        "both away": Scenario(variables(**common, **nowhere), (KAFKA_PASSWORD, API_KEY)),
    }


SCENARIOS = [
    "accepted, from variables",
    "accepted, from secret files",
    "refused by both, from a settings file",
    "refused by Elasticsearch",
    "both away",
]


@pytest.fixture(scope="module", autouse=True)
def _installed(scenarios: dict[str, Scenario]) -> None:
    """Topics, templates, and something to read."""
    settings = scenarios[SCENARIOS[0]].settings
    for arguments in (("setup", "--without-ilm"), ("generate", "--count", "50", "--days", "0.01")):
        ended = logpipe(*arguments, settings=settings)
        assert ended.returncode == 0, ended.stderr.decode()


def assert_silent(output: str, scenario: Scenario) -> None:
    for secret in scenario.secrets:
        forms = {
            secret,
            quote(secret),
            quote(secret, safe=""),
            json.dumps(secret)[1:-1],
            *(
                base64.b64encode(text.encode()).decode().rstrip("=")
                for text in (secret, f"{USERNAME}:{secret}", f"\0admin\0{secret}", f"admin\0admin\0{secret}")
            ),
        }
        for form in forms:
            assert form not in output
    # Any of them, or a part of one.
    assert "S3CRET" not in output


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("command", ONCE, ids=" ".join)
def test_no_output_holds_a_secret(
    scenarios: dict[str, Scenario], name: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    scenario = scenarios[name]

    # In a directory of its own: `init` writes settings there, which the next command would read.
    ended = logpipe("--log-level", "DEBUG", *command, settings=scenario.settings, directory=tmp_path)

    output = (ended.stdout + ended.stderr).decode()
    assert_silent(output, scenario)
    assert "Traceback" not in output, output
    if command == ("check",):
        assert (ended.returncode == 0) is name.startswith("accepted"), output


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("command", [" ".join(path) for path in sorted(SERVICES)])
def test_no_service_shows_a_secret(scenarios: dict[str, Scenario], name: str, command: str) -> None:
    scenario, shown = scenarios[name], ""
    with running("--log-level", "DEBUG", command, settings=scenario.settings) as process:
        url = metrics_url(process, scenario)
        if url is not None:
            time.sleep(2)  # something to read, to index, to be refused
            shown = "".join(fetch(f"{url}{path}")[1] for path in ("/metrics", "/health/ready"))
            shown += command_lines(process.pid)
            assert_only_loopback(process.pid)
            assert_nothing_else(url)
            process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=60)[0].decode()
    assert_silent(output + shown, scenario)
    assert "Traceback" not in output, output
    # Without its credentials a worker keeps trying, and `run` says at once that its checks fail; it waits for servers
    # that are away.
    assert ("logpipe_" in shown) is (
        name.startswith("accepted") or (command, name) in {("index", SCENARIOS[3]), ("run", SCENARIOS[4])}
    )


def metrics_url(process: "subprocess.Popen[bytes]", scenario: Scenario) -> str | None:
    """Wait until the worker reads; None if it ends instead."""
    port = scenario.settings.get("LOGPIPE_HTTP__PORT")
    while process.poll() is None:
        if port is not None and fetch(f"http://127.0.0.1:{port}/health/startup")[0] == 200:
            return f"http://127.0.0.1:{port}"
        time.sleep(0.1)
    return None


def fetch(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=5) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
    except (URLError, ConnectionError):
        return 0, ""


def family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def command_lines(pid: int) -> str:
    """Everyone on the machine can see these."""
    return "\n".join(" ".join(process.cmdline()) for process in family(pid))


def assert_only_loopback(pid: int) -> None:
    listening = {
        connection.laddr.ip
        for process in family(pid)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def assert_nothing_else(url: str) -> None:
    paths = ("", "/", "/config", "/settings", "/health", "/health/", "/metrics/x", "/debug/pprof", "/..%2f")
    assert {path: fetch(url + path)[0] for path in paths} == dict.fromkeys(paths, 404)
