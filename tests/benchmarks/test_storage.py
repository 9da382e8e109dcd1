"""The measurement of Elasticsearch's side: the same documents for every template, and the former ones as they were."""

from collections import Counter

import orjson
import pytest

from benchmarks import storage
from benchmarks.storage import Contender, Kind, Round
from pipeline.sandbox import Servers


@pytest.mark.parametrize("kind", Kind)
def test_every_contender_gets_the_same_documents_but_for_their_ids(kind: Kind) -> None:
    found = []
    for contender in (Contender.GUIDE, Contender.OURS):
        bodies = list(storage.bodies_of("logs", contender, kind, 300))
        lines = [orjson.loads(line) for _, body in bodies for line in body.splitlines()]
        assert sum(number for number, _ in bodies) == len(lines) // 2
        assert all(("routing" in line["create"]) is (contender is Contender.OURS) for line in lines[::2])
        found.append(lines[1::2])
    assert found[0] == found[1]
    lengths = Counter(len(str(one.get("message"))) > 60 for one in found[0])
    assert (lengths[True] > lengths[False]) is (kind is Kind.TEXT)


def test_the_table_says_what_the_bounds_are() -> None:
    def turn(kind: Kind, contender: Contender, size: float, cpu: float) -> Round:
        return Round(kind, contender, 10, size, cpu, 1000.0, [3, 3, 4])

    text = storage.as_markdown(
        [
            turn(Kind.SAMPLE, Contender.GUIDE, 250, 50),
            turn(Kind.SAMPLE, Contender.OURS, 100, 25),
            turn(Kind.SAMPLE, Contender.GUIDE, 250, 40),
            turn(Kind.SAMPLE, Contender.OURS, 100, 20),
        ],
        {"cpu": "c", "cores": 2, "elasticsearch_server": "9.1.0"},
    )
    assert "| sample | ours | 100.0 | 0.40 (at most 0.45) | 22.5 (20.0) | 0.50 (at most 0.62) |" in text


def test_the_templates_are_compared_on_the_server(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_STORE_SECONDS", 0)
    monkeypatch.setattr(storage, "_QUIET_TIMEOUT_SECONDS", 0)
    rounds = storage.measure(
        servers.elasticsearch_url,
        servers.elasticsearch.pid,
        *(1000, 1, 0),
        contenders=tuple(Contender),
        kinds=(Kind.SAMPLE,),
        report=lambda _: None,
    )
    assert [one.contender for one in rounds] == list(Contender)
    assert all(one.documents == sum(one.shards) >= 1000 and one.cpu_us_per_document > 0 for one in rounds)
