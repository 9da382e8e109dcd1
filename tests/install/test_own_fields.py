"""The pipeline's own fields in the real Elasticsearch: one value each, however an event spells their names."""

from itertools import count
from typing import Any

import orjson
from hypothesis import HealthCheck, Phase, given, settings as hypothesis_settings, strategies as st

from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.settings import Events, Index
from tests.events.both_paths import KAFKA_MS
from tests.events.own_names import OWN, leaves, own_events, values_in
from tests.install.indexer import Indexer

TIME = "2024-01-15T10:30:00.123Z"
OFFSETS = count()


@given(
    st.lists(own_events.map(lambda event: {**event, "timestamp": TIME}), min_size=20, max_size=60),
)
@hypothesis_settings(
    max_examples=6,
    # An example takes a second: there is no time to look for a smaller one.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
def test_any_spelling_of_own_names_gives_one_value_each_and_loses_none(
    shared_indexer: Indexer, events: list[dict[str, Any]]
) -> None:
    shared_indexer.start_new_index()
    builder = DocumentBuilder(Events(), Index())
    given_events = {}
    for event, offset in zip(events, OFFSETS, strict=False):
        (document,) = builder.documents(
            orjson.dumps(event), Coordinates("logs", 3, offset, KAFKA_MS), KAFKA_MS
        )
        given_events[offset] = event, document.source.decode()
    answers = shared_indexer.add_documents(source for _, source in given_events.values())
    assert [answer for answer in answers if answer.status != 201] == []
    hits = shared_indexer.search(size=1000, docvalue_fields=list(OWN))["hits"]["hits"]
    assert len(hits) == len(events)
    for hit in hits:
        offset = hit["_source"]["kafka"]["offset"]
        event, _ = given_events.pop(offset)
        check_fields(event, hit["_source"], hit.get("fields", {}), offset)
        left = values_in(hit["_source"])
        for value in values_in(event):
            left.remove(value)
    assert given_events == {}


def check_fields(
    event: dict[str, Any], source: dict[str, Any], fields: dict[str, list[Any]], offset: int
) -> None:
    """See what Elasticsearch has under each own name of a document."""
    assert (fields["kafka.topic"], fields["kafka.partition"], fields["kafka.offset"]) == (
        ["logs"],
        [3],
        [offset],
    )
    fingerprints = [source["error.fingerprint"]] if source.get("level") == "ERROR" else []
    assert fields.get("error.fingerprint", []) == fingerprints
    # What the mapping makes of the message itself, and nothing else.
    assert set(fields.get("message.keyword", [])) == texts_at("message", source)
    logged = texts_at("log.level", source)
    assert set(fields.get("log.level", [])) == logged
    if event.get("level") == "error":
        assert logged == {"error"}


def texts_at(field: str, source: dict[str, Any]) -> set[str]:
    """Give the values of a field as a keyword shows them."""
    values = [value for path, value in leaves(source) if path == field]
    return {"true" if value is True else str(value) for value in values}


def test_what_was_spelt_like_an_own_field_is_found_beside_it(shared_indexer: Indexer) -> None:
    shared_indexer.start_new_index()
    event = {"timestamp": TIME, "kafka.offset": 77, "unmapped.x": "v", "error": {"fingerprint": "app-own"}}
    (document,) = DocumentBuilder(Events(), Index()).documents(
        orjson.dumps(event), Coordinates("logs", 3, 64, KAFKA_MS), KAFKA_MS
    )
    assert shared_indexer.add_documents(iter([document.source.decode()]))[0].status == 201
    for field, value in (
        ("unmapped.kafka.offset", "77"),
        ("unmapped.unmapped.x", "v"),
        ("unmapped.error.fingerprint", "app-own"),
        ("kafka.offset", 64),
    ):
        assert shared_indexer.search(query={"term": {field: value}})["hits"]["total"]["value"] == 1
    assert shared_indexer.search(query={"term": {"kafka.offset": 77}})["hits"]["total"]["value"] == 0
