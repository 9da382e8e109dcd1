"""Logstash configurations run on the real servers: every event has one outcome, and the audit proves it."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.events.timestamps import from_epoch_ms
from pipeline.kafka.dead_letters import read_dead_letters
from tests.encode.functions import IS_NONSENSE, LOOPS
from tests.logpipe import logpipe, running
from tests.own_pipeline import Pipeline, documents, stop

__all__ = ["Pipeline"]

HERE = Path(__file__).parents[2]


def configuration(pipeline: Pipeline, tmp_path: Path, filters: str, output: str) -> str:
    """Write a configuration that names the servers itself; `$` in it stands for the test's own name."""
    file = tmp_path / "pipeline.conf"
    file.write_text(
        f"""
        input {{ kafka {{
            bootstrap_servers => "{pipeline.servers.kafka_bootstrap}" topics => ["$"] group_id => "$" codec => "json"
        }} }}
        filter {{ {filters} }}
        output {{ {output.replace("HOSTS", f'hosts => ["{pipeline.servers.elasticsearch_url}"]')} }}
        """.replace("$", pipeline.name)
    )
    return str(file)


def surroundings(pipeline: Pipeline, file: str, **settings: str) -> dict[str, str]:
    """Set what a configuration of Logstash says nothing about."""
    return {
        "LOGPIPE_FILTERS__FILE": file,
        "LOGPIPE_INDEX__PREFIX": pipeline.name,
        "LOGPIPE_HTTP__PORT": str(pipeline.port),
        "LOGPIPE_KAFKA__SESSION_TIMEOUT_SECONDS": "6",
        "PYTHONPATH": str(HERE),
        **settings,
    }


async def settled(pipeline: Pipeline, events: int) -> dict[str, float]:
    """Wait until so many events have an outcome and are committed; gives the metrics."""
    deadline = time.monotonic() + 60
    while True:
        await asyncio.sleep(0.3)
        try:
            metrics = await pipeline.metrics()
        except OSError:
            metrics = {}
        done = outcomes(metrics).total() >= events and metrics["logpipe_in_flight_records"] == 0
        if done and await pipeline.committed() == await pipeline.ends():
            return metrics
        assert time.monotonic() < deadline, metrics


def outcomes(metrics: dict[str, float]) -> Counter[str]:
    names = ("indexed", "already_there", "dead_lettered", "dropped")
    return Counter({name: int(number) for name in names if (number := documents(metrics, name))})


def consumed(metrics: dict[str, float]) -> int:
    return int(
        sum(value for name, value in metrics.items() if name.startswith("logpipe_documents_consumed_total"))
    )


def audit(settings: dict[str, str]) -> dict[str, Any]:
    """Run the audit; it has to be clean."""
    audited = logpipe("audit", "--json", settings=settings)
    assert audited.returncode == 0, audited.stdout.decode() + audited.stderr.decode()
    found: dict[str, Any] = orjson.loads(audited.stdout)
    assert found["clean"]
    return found


NOW_MS = time.time_ns() // 1_000_000


def access_log(number: int) -> bytes:
    """Write an access log's line as Filebeat sends it; of three requests one asks for the health."""
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(NOW_MS // 1000 - number))
    path = "/health" if number % 3 == 0 else f"/items/{number}"
    line = (
        f'203.0.113.{number % 250} - - [{stamp}] "GET {path} HTTP/1.1" 200 {number + 1} "-" "curl/8.5.0"'
        if number % 300 != 1
        else f"no request at all {number}"
    )
    return orjson.dumps(
        {
            "@timestamp": from_epoch_ms(NOW_MS).text,
            "@metadata": {"beat": "filebeat", "type": "_doc", "version": "9.2.8"},
            "agent": {"type": "filebeat", "version": "9.2.8"},
            "host": {"name": "web-1"},
            "log": {"file": {"path": "/var/log/nginx/access.log"}, "offset": number},
            "message": line,
        }
    )


ACCESS = """
    if "/health" in [message] { drop { } }
    grok { match => { "message" => "%{COMBINEDAPACHELOG}" } }
    date { match => ["timestamp", "dd/MMM/yyyy:HH:mm:ss Z"] remove_field => ["timestamp"] }
    if [http][response][body][bytes] { mutate { add_field => { "size" => "%{[http][response][body][bytes]}" }
        convert => { "size" => "integer" } } }
"""


async def test_an_access_log_of_filebeat(pipeline: Pipeline, tmp_path: Path) -> None:
    file = configuration(
        pipeline, tmp_path, ACCESS, 'elasticsearch { HOSTS index => "$-web-%{+YYYY.MM.dd}" }'
    )
    await pipeline.send([access_log(number) for number in range(3000)])
    settings = surroundings(pipeline, file)
    with running("index", "--logstash", file, settings=settings) as process:
        metrics = await settled(pipeline, 3000)
        stop(process)
    assert outcomes(metrics) == {"indexed": 2000, "dropped": 1000}
    assert consumed(metrics) == 3000
    (dropped,) = [name for name in metrics if name.startswith("logpipe_documents_dropped_total")]
    assert dropped.startswith('logpipe_documents_dropped_total{filter="drop, line ')
    assert metrics[dropped] == 1000
    found = audit(settings)
    assert (found["expected"], found["indexed"], found["dropped"]) == (3000, 2000, 1000)
    assert all(index.startswith(f"{pipeline.name}-web-") for index in await pipeline.counts())
    by_number = {one["log"]["offset"]: one for one in await pipeline.documents()}
    good, bad = by_number[2], by_number[1]
    assert good["http"]["request"]["method"] == "GET"
    assert good["url"]["original"] == "/items/2"
    assert good["@timestamp"] == from_epoch_ms((NOW_MS // 1000 - 2) * 1000).text
    assert (good["kafka"]["topic"], good["host"]["name"]) == (pipeline.name, "web-1")
    assert bad["tags"] == ["_grokparsefailure"]


KUBERNETES = """
    if [kubernetes][labels][app] == "noise" { drop { } }
    mutate { rename => { "msg" => "message" } uppercase => ["level"] }
    if [level] == "ERROR" { mutate { add_field => { "[@metadata][target]" => "errors" } } }
    else { mutate { add_field => { "[@metadata][target]" => "%{[kubernetes][namespace]}" } } }
    if [copy] { clone { clones => ["second"] } }
"""
BY_NAMESPACE = """
    if [@metadata][target] == "errors" { elasticsearch { HOSTS index => "$-errors" } }
    else { elasticsearch { HOSTS index => "$-%{[kubernetes][namespace]}-%{+YYYY.MM.dd}" } }
"""


def kubernetes_event(number: int) -> bytes:
    event: dict[str, Any] = {
        "@timestamp": from_epoch_ms(NOW_MS - number).text,
        "msg": f"event {number}",
        "level": "error" if number % 5 == 0 else "info",
        "kubernetes": {"namespace": ("shop", "pay")[number % 2], "labels": {"app": "api"}},
        "n": number,
    }
    if number % 3 == 1:
        event["kubernetes"]["labels"]["app"] = "noise"
    if number % 30 == 2:
        del event["kubernetes"]["namespace"]
    if number % 30 == 3:
        event["copy"] = True
    return orjson.dumps(event)


@pytest.mark.parametrize("normalise", ["true", "false"])
async def test_kubernetes_with_conditional_indices(
    pipeline: Pipeline, tmp_path: Path, normalise: str
) -> None:
    file = configuration(pipeline, tmp_path, KUBERNETES, BY_NAMESPACE)
    await pipeline.send([kubernetes_event(number) for number in range(900)])
    settings = surroundings(pipeline, file, LOGPIPE_EVENTS__NORMALISE=normalise)
    # 300 are noise; 30 have a copy; 15 of the 30 that name no namespace are no errors.
    without = sum(n % 30 == 2 and n % 5 != 0 for n in range(900))
    expected = {"indexed": 600 + 30 - without, "dropped": 300, "dead_lettered": without}
    with running("index", settings=settings) as process:
        metrics = await settled(pipeline, 930)
        stop(process)
    assert outcomes(metrics) == expected
    assert consumed(metrics) == 930
    found = audit(settings)
    assert (found["indexed"], found["dropped"], found["dead"]) == tuple(
        expected[name] for name in ("indexed", "dropped", "dead_lettered")
    )
    names = {name.split(".")[0] for name in await pipeline.counts()}
    year = f"-{time.gmtime(NOW_MS / 1000).tm_year}"
    assert names == {f"{pipeline.name}{end}" for end in ("-errors", f"-shop{year}", f"-pay{year}")}
    letters = [letter async for letter in read_dead_letters(pipeline.settings)]
    assert {letter.error_type for letter in letters} == {"logstash_output"}
    assert all("still has a field" in letter.reason for letter in letters)
    replayed = logpipe("dlq", "replay", settings=settings)
    assert f"{without}" in replayed.stdout.decode() + replayed.stderr.decode()
    again = audit(settings)
    assert again["duplicated"] == 0
    everything = await pipeline.documents()
    assert all(("@version" in one) == (normalise == "false") for one in everything)
    assert all(("kafka" in one) == (normalise == "true") for one in everything)


async def test_documents_are_updated_and_deleted_by_ids_of_their_own(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    output = """elasticsearch { HOSTS index => "$-state" document_id => "%{id}" action => "%{op}"
        doc_as_upsert => true }"""
    file = configuration(pipeline, tmp_path, "", output)
    settings = surroundings(
        pipeline, file, LOGPIPE_EVENTS__NORMALISE="false", LOGPIPE_ELASTICSEARCH__MAX_CONCURRENT_REQUESTS="1"
    )
    steps = [
        *[{"op": "index", "id": str(n), "a": 1} for n in range(10)],
        *[{"op": "update", "id": str(n), "b": 2} for n in range(5)],
        *[{"op": "delete", "id": str(n)} for n in (8, 9, 77)],
        {"op": "update", "id": "new", "b": 3},
        {"op": "create", "id": "0", "a": 9},
        {"op": "destroy", "id": "0"},
    ]
    await pipeline.send([orjson.dumps(step) for step in steps], partition=0)
    with running("index", settings=settings) as process:
        metrics = await settled(pipeline, len(steps))
        stop(process)
    assert outcomes(metrics).total() == consumed(metrics) == len(steps)
    assert outcomes(metrics)["dead_lettered"] == 1
    await pipeline.client.indices.refresh(index=f"{pipeline.name}-state")
    answer = await pipeline.client.search(index=f"{pipeline.name}-state", size=100)
    state = {hit["_id"]: (hit["_source"].get("a"), hit["_source"].get("b")) for hit in answer["hits"]["hits"]}
    assert state == {
        **{str(n): (1, 2) for n in range(5)},
        **{str(n): (1, None) for n in range(5, 8)},
        "new": (None, 3),
    }
    assert audit(settings)["missing"] == 0


async def test_functions_of_ones_own_that_drop_and_fail(pipeline: Pipeline) -> None:
    await pipeline.send([orjson.dumps({"n": n, "message": "m"}) for n in range(3000)])
    settings = pipeline.environment(
        LOGPIPE_FILTERS__PYTHON="tests.encode.functions:drop_a_third,tests.encode.functions:fail",
        LOGPIPE_FILTERS__PYTHON_TIMEOUT="0.2",
        LOGPIPE_KAFKA__SESSION_TIMEOUT_SECONDS="45",
        PYTHONPATH=str(HERE),
    )
    with running("index", settings=settings) as process:
        metrics = await settled(pipeline, 3000)
        process.terminate()
        said = process.communicate(timeout=40)[0].decode()
    assert process.returncode == 0
    assert outcomes(metrics) == {"indexed": 1999, "dropped": 1000, "dead_lettered": 1}
    assert metrics['logpipe_documents_dropped_total{filter="python, filters.python 1"}'] == 1000
    assert metrics['logpipe_filter_exceptions_total{filter="python, filters.python 2"}'] == 202
    told = [line for line in said.splitlines() if "the function `tests.encode.functions:fail`" in line]
    assert len(told) == 1
    assert "ValueError" in told[0]
    found = audit(settings)
    assert (found["indexed"], found["dropped"], found["dead"]) == (1999, 1000, 1)
    tagged = [one for one in await pipeline.documents() if one.get("tags") == ["_pythonexception"]]
    assert len(tagged) == 202
    assert {LOOPS, IS_NONSENSE} < {one["n"] for one in tagged}


@pytest.mark.server
def test_a_filter_that_is_not_supported_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.conf"
    file.write_text('input { kafka { } }\nfilter {\n  aggregate { task_id => "%{id}" }\n}\n')
    checked = logpipe("logstash", "check", str(file))
    for command in ("run", "index", "transform"):
        refused = logpipe(command, "--logstash", str(file))
        assert refused.returncode == 2
        said = " ".join(refused.stderr.decode().split())
        assert f"{file}:3:3: The filter `aggregate` is not supported." in said
        reason = said.split("supported. ")[1]
        assert reason[:60] in " ".join(checked.stdout.decode().split())
