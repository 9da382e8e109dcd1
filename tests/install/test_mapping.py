"""What the real Elasticsearch takes under our mapping, and what it refuses whatever the mapping.

The second table is the list of what the pipeline has to repair before it sends a document.
"""

import json

import pytest

from tests.install.indexer import TIME, Indexer, Item

FIELDS = (
    '"new":%s',
    '"level":%s',
    '"message":%s',
    '"tags":%s',
    '"trace_id":%s',
    '"timestamp":%s',
    '"host":%s',
    '"log":%s',
    '"log":{"level":%s}',
    '"error":%s',
    '"kafka":%s',
    '"kafka":{"offset":%s}',
    '"context":%s',
    '"context":{"new":%s}',
    '"context":{"processing_time_ms":%s}',
    '"kubernetes":%s',
    '"kubernetes":{"pod":%s}',
    '"service.version":%s',
)
SHAPES = (
    '"text"',
    "5",
    "1.5",
    "true",
    "null",
    '{"y":1}',
    '{"y":{"z":"text"}}',
    "{}",
    "[]",
    '["a","b"]',
    "[1,2]",
    "[1,2.5]",
    "[1.5,2.5]",
    '[{"y":1},{"y":"text"}]',
    '[1,"a",null,{"y":1},[2,[3]],true]',
    '[[["a"]]]',
    '{"lat":1.0,"lon":2.0}',
    '""',
    '"2024-01-15"',
    '"12"',
    "9223372036854775808",
    "18446744073709551615",
    "1e308",
    "1e400",
    "1e-400",
    "-0.0",
)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("order", [1, -1], ids=["", "reversed"])
def test_a_field_may_have_any_shape_in_any_order(indexer: Indexer, field: str, order: int) -> None:
    documents = [field % shape for shape in SHAPES[::order]]
    assert [item for item in indexer.add(*documents) if item.status != 201] == []
    assert indexer.sources() == [json.loads(f"{{{TIME},{text}}}") for text in documents]


def nested(depth: int, leaf: str = "1") -> str:
    return '{"k":' * depth + leaf + "}" * depth


LONG = "x" * 40_000
# Not deeper than 250: near a thousand levels Elasticsearch's parser can overflow its stack (FlatteningXContentParser
# calls itself once for each), and these tests share the server. docs/elasticsearch.md tells more.
ACCEPTED = {
    "a mixed array in a new field": '"a":[1,"b",1.5,true]',
    "two names for one field": '"a.b":1,"a":{"b":"text"}',
    "a dotted name beside a value": '"service":"api","service.name":"x"',
    "a field below a text": '"message":"a","message.keyword":"b"',
    "an object below a text": '"message":{"keyword":1}',
    "40,000 characters in a keyword": f'"level":"{LONG}"',
    "40,000 characters in a message": f'"message":"{LONG}"',
    "40,000 characters in a new field": f'"new":"{LONG}"',
    "40,000 characters in context": f'"context":{{"new":"{LONG}"}}',
    "40,000 characters in unmapped": f'"unmapped":{{"new":"{LONG}"}}',
    "40,000 characters for a number": f'"context":{{"processing_time_ms":"{LONG}"}}',
    "an array of 100,000": f'"context":{{"a":{list(range(100_000))}}}',
    "a name of 200 characters": f'"{"n" * 200}":1',
    "names of dots": '".":1,"..":2,"a.":3,".a":4,"a..b":5',
    "blank names in an object": '"context":{"":1," ":2,"a":{"":3}}',
    "special names": '"_foo":1,"a*b":2,"a,b":3,"type":4,"properties":5,"@timestamp.x":6',
    "NUL in a name and a value": '"a\\u0000b":"c\\u0000d"',
    "a surrogate without its partner": '"message":"\\ud800","context":{"a":"\\udc00"}',
    "objects 200 deep in context": f'"context":{nested(200)}',
    "objects 250 deep": f'"a":{nested(250)}',
    "arrays 250 deep": f'"a":{"[" * 250 + "]" * 250}',
    "an array of objects in unmapped": '"unmapped":{"a":[{"b":1},2]}',
    "Filebeat's envelope": (
        '"host":{"name":"h","os":{"kernel":"5"}},"agent":{"id":"i","type":"filebeat"},"ecs":{"version":"8.0"},'
        '"input":{"type":"log"},"fields":{"service":"s"},"log":{"level":"x","offset":1,"file":{"path":"/l"}}'
    ),
}


@pytest.mark.parametrize("members", ACCEPTED.values(), ids=ACCEPTED)
def test_it_is_indexed(shared_indexer: Indexer, members: str) -> None:
    assert shared_indexer.add(members) == [Item(201, "")]


REFUSED = {
    "an empty name at the root": ('"":1', "Field name cannot be an empty string"),
    "a blank name at the root": ('" ":1', "Field name cannot contain only whitespace"),
    "a name of Unicode blanks at the root": ('"\\u2003":1', "Field name cannot contain only whitespace"),
    **{
        f"the metadata field {name}": (f'"{name}":"x"', "is a metadata field and cannot be added")
        for name in (
            "_field_names",
            "_id",
            "_ignored",
            "_ignored_source",
            "_index",
            "_nested_path",
            "_routing",
            "_seq_no",
            "_source",
            "_version",
        )
    },
    "a document count that is no number": ('"_doc_count":"x"', "expecting token of type [VALUE_NUMBER]"),
    "a name twice": ('"a":1,"a":2', "Duplicate field 'a'"),
    "a name twice in an object": ('"context":{"a":1,"a":2}', "Duplicate field 'a'"),
    "a number of more than 1,000 digits": (f'"a":{"1" * 1001}', "Number value length"),
    "NaN": ('"a":NaN', "Non-standard token 'NaN'"),
    "a name above 32,766 bytes with a long text": (
        f'"{"n" * 32_767}":"{LONG}"',
        'DocValuesField "_ignored" is too large',
    ),
    "unmapped that is no object": ('"unmapped":"x"', "expecting token of type [START_OBJECT]"),
    "NUL in a name in unmapped": ('"unmapped":{"a\\u0000b":1}', "cannot contain the reserved character"),
    "unmapped 21 deep": (f'"unmapped":{nested(21)}', "exceeds the maximum depth limit of [20]"),
    "a name above 32,766 bytes in unmapped": (
        f'"unmapped":{{"{"n" * 32_767}":1}}',
        "contains one immense field whose keyed encoding",
    ),
}


@pytest.mark.parametrize(("members", "reason"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_and_the_pipeline_has_to_repair_it(
    shared_indexer: Indexer, members: str, reason: str
) -> None:
    (item,) = shared_indexer.add(members)
    assert item.status == 400
    assert reason in item.reason


@pytest.mark.parametrize(
    ("time", "status"),
    [
        ('"0001-01-01T00:00:00.000Z"', 201),
        ('"9999-12-31T23:59:59.999Z"', 201),
        ('"2024-01-15T10:30:00.123456789Z"', 201),
        ('"2024-01-15T10:30:00+02:00"', 201),
        ("1705314600123", 201),
        ("null", 201),
        ('"2024-01-15 10:30:00"', 400),
        ('"2016-12-31T23:59:60Z"', 400),
        ('"+10000-01-01T00:00:00Z"', 400),
        ('"yesterday"', 400),
        ('""', 400),
        ("true", 400),
    ],
)
def test_the_time_of_a_document_must_be_one(shared_indexer: Indexer, time: str, status: int) -> None:
    (item,) = shared_indexer.add_documents(iter([f'{{"@timestamp":{time}}}']))
    assert item.status == status


def test_names_without_end_do_not_end_the_day(indexer: Indexer) -> None:
    names = (f'"f{number}":{number}' for number in range(10_000))
    assert indexer.add(",".join(names)) == [Item(201, "")]
    assert indexer.add('"brand_new":1', '"context":{"brand_new":2}') == [Item(201, "")] * 2
    assert len(indexer.types()) <= 500
    # What the mapping has no room for is neither lost nor in the way of what it knows.
    assert indexer.add('"level":"ERROR","context":{"processing_time_ms":7}') == [Item(201, "")]
    found = indexer.search(query={"term": {"level": "ERROR"}})
    assert found["hits"]["total"]["value"] == 1


TYPES_BY_NAME = {
    "context.db_ms": "double",
    "context.db.duration": "double",
    "context.responseTimeMs": "double",
    "context.input_tokens": "double",
    "response_bytes": "double",
    "retry_count": "double",
    "context.attempt": "keyword",
    "context.status_code": "keyword",
    "context.accountMs5": "keyword",
    "items": "keyword",
    "context.forms": "keyword",
}


@pytest.mark.parametrize("first", ["5", '"5"', "true", "[1.5]"])
def test_a_fields_type_follows_from_its_name_not_from_its_first_value(indexer: Indexer, first: str) -> None:
    assert indexer.add(*(f'"{name}":{first}' for name in TYPES_BY_NAME)) == [Item(201, "")] * 11
    types = indexer.types()
    assert {name: types[name] for name in TYPES_BY_NAME} == TYPES_BY_NAME


def test_processing_time_can_be_aggregated_whatever_else_is_logged_there(indexer: Indexer) -> None:
    values = ["100", "200.5", '"300"', '"slow"', "null", "{}", "[400]", "true"]
    indexer.add(*(f'"context":{{"processing_time_ms":{value}}}' for value in values))
    found = indexer.search(size=0, aggs={"sum": {"sum": {"field": "context.processing_time_ms"}}})
    assert found["aggregations"]["sum"]["value"] == 1000.5
    query = {"range": {"context.processing_time_ms": {"gt": 150}}}
    assert indexer.search(query=query)["hits"]["total"]["value"] == 3


def test_kafkas_coordinates_can_be_searched_and_aggregated(indexer: Indexer) -> None:
    indexer.add(*(f'"kafka":{{"topic":"t","partition":1,"offset":{number}}}' for number in range(10)))
    query = {
        "bool": {"filter": [{"term": {"kafka.topic": "t"}}, {"range": {"kafka.offset": {"gte": 3, "lt": 6}}}]}
    }
    aggregations = {
        "partitions": {
            "terms": {"field": "kafka.partition"},
            "aggs": {
                "last": {"max": {"field": "kafka.offset"}},
                "n": {"cardinality": {"field": "kafka.offset"}},
            },
        }
    }
    assert indexer.search(query=query)["hits"]["total"]["value"] == 3
    (bucket,) = indexer.search(size=0, aggs=aggregations)["aggregations"]["partitions"]["buckets"]
    assert (bucket["key"], bucket["last"]["value"], bucket["n"]["value"]) == (1, 9, 10)


def test_messages_can_be_searched_by_phrase_and_counted_whole(indexer: Indexer) -> None:
    indexer.add(
        '"message":"timeout after 5 s"', '"message":"after the timeout"', '"message":"timeout after 5 s"'
    )
    phrase = {"match_phrase": {"message": "timeout after"}}
    assert indexer.search(query=phrase)["hits"]["total"]["value"] == 2
    assert indexer.search(query={"query_string": {"query": "timeout"}})["hits"]["total"]["value"] == 3
    whole = {"term": {"message.keyword": "timeout after 5 s"}}
    assert indexer.search(query=whole)["hits"]["total"]["value"] == 2
    top = indexer.search(size=0, aggs={"top": {"terms": {"field": "message.keyword"}}})
    assert top["aggregations"]["top"]["buckets"][0] == {"key": "timeout after 5 s", "doc_count": 2}


def test_what_was_moved_aside_can_be_found(indexer: Indexer) -> None:
    indexer.add('"unmapped":{"_id":"x","level":5}')
    assert indexer.search(query={"term": {"unmapped._id": "x"}})["hits"]["total"]["value"] == 1
    assert indexer.search(query={"term": {"unmapped": "5"}})["hits"]["total"]["value"] == 1
