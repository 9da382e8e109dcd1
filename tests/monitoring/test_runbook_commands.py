"""The commands of the runbooks: what Elasticsearch is asked is asked, the rest is parsed by its tool or its grammar."""

import ast
import datetime as dt
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from pipeline.sample import sample_events
from pipeline.sample.produce import produce
from tests.docs.shell import blocks, commands
from tests.docs.test_examples import called
from tests.logpipe import running
from tests.monitoring.alerting import RUNBOOKS
from tests.monitoring.manifests import MONITORING
from tests.monitoring.tools import find
from tests.own_pipeline import Pipeline, stop

# Nothing listens there: a tool that has understood its words says so.
NOWHERE = "http://127.0.0.1:9"
SAMPLES = 3_000


class Command(NamedTuple):
    """A command of a page, and its words without the program's name."""

    page: str
    program: str
    words: list[str]


COMMANDS = [
    Command(page.stem, called(words), words[1:])
    for page in sorted(RUNBOOKS.glob("*.md"))
    for _, text in blocks(page)
    for words in commands(text)
]


def of(program: str) -> list[Command]:
    return [one for one in COMMANDS if one.program == program]


def named(one: Command) -> str:
    return f"{one.page}: {' '.join(one.words)[:60]}"


# What is checked here, in tests/monitoring/test_runbooks.py (logpipe, promtool's queries), or is the shell's own.
CHECKED = {"logpipe", "promtool", "kubectl", "curl", "jq", "amtool"}
THE_SHELLS = {"grep", "tail", "head", "sort", "uniq", "export", "cut"}


def test_every_program_is_checked() -> None:
    tools = {one.program for one in COMMANDS} - CHECKED - THE_SHELLS
    assert tools == set(KAFKAS_OPTIONS)


# Elasticsearch and jq --------------------------------------------------------------------------------------------


class Request(NamedTuple):
    """What a call of curl asks Elasticsearch, and the filter of jq behind it."""

    page: str
    method: str
    path: str
    body: Any
    filter: list[str]


def requests() -> Iterator[Request]:
    for number, one in enumerate(COMMANDS):
        if one.program != "curl" or not any(word.startswith("$ES/") for word in one.words):
            continue
        (url,) = [word for word in one.words if word.startswith("$ES/")]
        body = json.loads(one.words[one.words.index("-d") + 1]) if "-d" in one.words else None
        method = one.words[one.words.index("-X") + 1] if "-X" in one.words else "POST" if body else "GET"
        following = COMMANDS[number + 1 : number + 2]
        piped = [each.words for each in following if each.program == "jq" and each.page == one.page]
        yield Request(one.page, method, url.removeprefix("$ES"), body, piped[0] if piped else [])


def jq(words: list[str], value: Any) -> None:
    if (program := shutil.which("jq")) is not None:
        done = subprocess.run(
            [program, *words], input=json.dumps(value), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"


async def test_elasticsearch_answers_what_the_pages_ask(pipeline: Pipeline) -> None:
    now = dt.datetime.now(dt.UTC)
    events = sample_events(
        SAMPLES, end_ms=int(now.timestamp() * 1000), span_seconds=3600, incident="error-spike"
    )
    await produce(pipeline.settings.kafka, events)
    with running("index", settings=pipeline.environment()) as process:
        await pipeline.indexed(SAMPLES)
        stop(process)
    client, day = pipeline.client, f"{pipeline.name}-{now:%Y.%m.%d}"
    for name in (
        f"{pipeline.name}-undated",
        f"{pipeline.name}-overflow",
        f"{pipeline.name}.fingerprints",
        day,
    ):
        if not await client.indices.exists(index=name):
            await client.indices.create(index=name)
    try:
        # What deletes comes last. The sandbox's Elasticsearch is the open part, without a lifecycle to ask about.
        for request in sorted(requests(), key=lambda one: one.method == "DELETE"):
            if "/_ilm/" not in request.path:
                await answered(pipeline, request, day)
    finally:
        await client.cluster.put_settings(persistent={"cluster.max_shards_per_node": None})


async def answered(pipeline: Pipeline, request: Request, day: str) -> None:
    path = request.path.replace("claude-code-bot-YYYY.MM.dd", day).replace("INDEX", day)
    path = path.replace("claude-code-bot", pipeline.name)
    # Which documents it would delete is asked instead: deleting them is a part that the sandbox lacks as well.
    path = path.replace("_delete_by_query?wait_for_completion=false", "_count")
    body = json.loads(json.dumps(request.body).replace("INDEX", day))
    if request.method == "DELETE" and not await pipeline.client.indices.exists(index=day):
        await pipeline.client.indices.create(index=day)
    content = {"accept": "application/json", **({"content-type": "application/json"} if body else {})}
    answer = await pipeline.client.perform_request(request.method, path, headers=content, body=body)
    if request.filter:
        jq(request.filter, answer.body)


def test_there_is_something_to_ask() -> None:
    assert len(list(requests())) > 30
    assert {request.method for request in requests()} == {"GET", "POST", "PUT", "DELETE"}
    assert sum(bool(request.filter) for request in requests()) > 8


def test_what_is_asked_of_the_lifecycle_exists() -> None:
    asked = {
        (one.method, one.path.partition("?")[0].partition("/_ilm/")[2])
        for one in requests()
        if "/_ilm/" in one.path
    }
    assert asked == {("GET", "explain"), ("GET", "status"), ("POST", "retry")}


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
@pytest.mark.parametrize("one", of("jq"), ids=named)
def test_filters_of_jq_can_be_compiled(one: Command) -> None:
    (text,) = [word for word in one.words if not word.startswith("-")]
    jq(["-n", f"def here: {text}; empty"], None)


def test_other_calls_of_curl_have_an_address() -> None:
    for one in of("curl"):
        (address,) = [word for word in one.words if re.match(r"\$ES/|https?://", word)]
        assert address.startswith("$ES/") or urlsplit(address).hostname


# Prometheus and Alertmanager -------------------------------------------------------------------------------------


def without_variables(word: str) -> str:
    """Fill in what a shell would: a command's output is a number here, a server is nowhere."""
    word = word.replace("*.rules.yml", "alerts.rules.yml")
    word = word.replace("/etc/prometheus", str(MONITORING / "prometheus"))
    word = re.sub(r"\$\([^)]*\)|\$\(.*", "1700000000", word)
    return re.sub(r"\$PROM|http://(alertmanager:9093|prometheus:9090)", NOWHERE, word)


def distinct(program: str) -> list[list[str]]:
    """Give the calls that differ in more than their query, which test_runbooks.py has parsed."""
    found: dict[str, list[str]] = {}
    for one in of(program):
        words = [without_variables(word) for word in one.words]
        if words[0] == "query":
            words[-1] = "1"
        found.setdefault(" ".join(words), words)
    return list(found.values())


@pytest.mark.parametrize("program", ["promtool", "amtool"])
def test_tools_understand_their_words(program: str, tmp_path: Path) -> None:
    calls = distinct(program)
    assert len(calls) > 2
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: one}\nreceivers: [{name: one}]\n")
    for words in calls:
        given = [word.replace("/etc/alertmanager", str(tmp_path)) for word in words]
        done = subprocess.run(
            [find(program), *given], capture_output=True, text=True, check=False, timeout=60
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0 or "connection refused" in said, f"{words}: {said}"


# kubectl ---------------------------------------------------------------------------------------------------------

_SELECTING = {"-l", "-o", "--sort-by"}
# Verb -> its options; -n is every verb's.
KUBECTLS_OPTIONS = {
    "get": {*_SELECTING},
    "describe": {"-l"},
    "logs": {"-l", "--tail", "--since", "--prefix", "--previous", "--all-containers", "--timestamps"},
    "exec": set(),
    "top pods": {"-l", "--containers", "--sort-by"},
    "rollout history": set(),
    "rollout undo": set(),
    "rollout restart": set(),
    "rollout status": {"--timeout"},
    "scale": {"--replicas"},
    "delete": set(),
    "patch": {"--patch"},
    "debug": {"-it", "--image"},
    "set env": set(),
    "run": {"--rm", "-i", "--restart", "--image", "--overrides"},
    "create job": {"--from"},
    "port-forward": set(),
}
DEPLOYMENTS = {
    "api-deployment",
    "worker-deployment",
    "webhooks-deployment",
    "log-pipeline",
    "postgres-exporter",
}
IN_A_POD = {"pg_isready", "df", "psql", "redis-cli", "python", "date", "logpipe"}


class Kubectl(NamedTuple):
    """A call of kubectl: its verb, its options, and what it runs in a pod."""

    verb: str
    options: set[str]
    inner: list[str]


def kubectl(words: list[str]) -> Kubectl:
    before = words[: words.index("--")] if "--" in words else words
    inner = words[len(before) + 1 :]
    if before[:1] == ["-n"]:
        before = before[2:]
    verb = before[0]
    if f"{verb} {before[1]}" in KUBECTLS_OPTIONS:
        verb = f"{verb} {before[1]}"
    return Kubectl(verb, {word.partition("=")[0] for word in before if word.startswith("-")}, inner)


@pytest.mark.parametrize("one", of("kubectl"), ids=named)
def test_calls_of_kubectl_have_a_verb_with_these_options(one: Command) -> None:
    call = kubectl(one.words)
    assert call.verb in KUBECTLS_OPTIONS
    assert call.options <= KUBECTLS_OPTIONS[call.verb]
    for name in re.findall(r"(?:deployment|deploy)/(\S+)", " ".join(one.words)):
        assert name in DEPLOYMENTS
    for word in one.words:
        if word.startswith(("--patch", "--overrides", '{"')):
            json.loads(word[word.index("{") :] if "{" in word else "{}")
    if call.inner:
        assert call.inner[0] in IN_A_POD
        if call.inner[0] == "python":
            ast.parse(call.inner[call.inner.index("-c") + 1])


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("verb", KUBECTLS_OPTIONS)
def test_the_options_are_kubectls_own(verb: str) -> None:
    shown = subprocess.run(
        [shutil.which("kubectl") or "kubectl", *verb.split(), "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for option in KUBECTLS_OPTIONS[verb]:
        # -it is -i and -t.
        each = [f"-{letter}" for letter in option[1:]] if re.fullmatch(r"-\w+", option) else [option]
        assert [name for name in each if not re.search(rf"(^|[\s,]){name}[,=\s]", shown)] == []


# Kafka -----------------------------------------------------------------------------------------------------------

# Its tools are not among the sandbox's jars. What they take, by Kafka's documentation of 4.1.
KAFKAS_OPTIONS = {
    "kafka-consumer-groups.sh": {
        "--describe",
        "--group",
        "--state",
        "--members",
        "--verbose",
        "--topic",
        "--reset-offsets",
        "--to-current",
        "--execute",
    },
    "kafka-topics.sh": {
        "--describe",
        "--list",
        "--topic",
        "--under-replicated-partitions",
        "--under-min-isr-partitions",
        "--unavailable-partitions",
    },
    "kafka-configs.sh": {"--describe", "--alter", "--entity-type", "--entity-name", "--add-config"},
    "kafka-transactions.sh": {"--broker-id", "--topic", "--partition", "--start-offset"},
    "kafka-broker-api-versions.sh": set(),
    "kafka-metadata-quorum.sh": {"--status"},
}
_ACTIONS = {"find-hanging", "describe-producers", "abort", "describe"}


@pytest.mark.parametrize("one", [each for name in KAFKAS_OPTIONS for each in of(name)], ids=named)
def test_calls_of_kafkas_tools_have_options_that_these_know(one: Command) -> None:
    assert one.words[:2] == ["--bootstrap-server", "$KAFKA"]
    rest = one.words[2:]
    assert {word for word in rest if word.startswith("--")} <= KAFKAS_OPTIONS[one.program]
    if one.program in {"kafka-transactions.sh", "kafka-metadata-quorum.sh"}:
        assert rest[0] in _ACTIONS
    if "--add-config" in rest:
        assert re.fullmatch(r"[a-z.]+=\d+", rest[rest.index("--add-config") + 1])
