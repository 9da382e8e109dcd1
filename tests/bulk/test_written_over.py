"""Documents whose ids are somebody else's, and documents that are written over: the summaries of traces."""

import orjson
import pytest

from pipeline.bulk.requests import items_of, target_of


@pytest.mark.parametrize("identifier", ["abc", 'a"b', "a\\b", "ü", "x-000000000001-5", 'a","_id":"b'])
@pytest.mark.parametrize("operation", ["create", "index"])
def test_index_and_id_are_read_out_of_any_action_line(operation: str, identifier: str) -> None:
    versions = {"if_seq_no": 3, "if_primary_term": 1} if operation == "index" else {}
    action = orjson.dumps({operation: {"_index": "p.traces-2024.01.15", "_id": identifier, **versions}})
    assert target_of(action + b"\n") == ("p.traces-2024.01.15", identifier)


def test_answers_to_both_operations_are_read_together() -> None:
    bodies = [
        b'{"create":{"_index":"i","_id":"a\\"b"}}\n{}\n',
        b'{"index":{"_index":"i","_id":"c","if_seq_no":1,"if_primary_term":1}}\n{}\n',
    ]
    answer = orjson.dumps(
        {
            "errors": True,
            "items": [
                {"create": {"_id": 'a"b', "status": 201}},
                {"index": {"_id": "c", "status": 409, "error": {"type": "version_conflict", "reason": "r"}}},
            ],
        }
    )
    created, conflict = items_of(answer, bodies, [1, 1]) or [None, None]
    assert created is None
    assert conflict is not None
    assert conflict[0].status == 409
