"""Every golden case gives the event that a real Logstash gave, or keeps the one that Logstash loses."""

import json
from typing import Any, Final

import pytest

from tests.logstash.golden_cases import FOLDER, agrees, cases, refused, run

CASES: Final = cases()
KEPT: Final = frozenset((FOLDER / "kept.txt").read_text().splitlines())


def test_there_are_as_many_cases_as_were_recorded() -> None:
    assert len(CASES) == 1211


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["case"] not in KEPT], ids=lambda case: case["case"]
)
def test_the_event_is_the_one_that_logstash_makes(case: dict[str, Any]) -> None:
    if case.get("error") == "configuration":
        assert refused(case)
        return
    got, outcomes = run(case)
    assert agrees(case["output"], got), json.dumps(got, ensure_ascii=False)
    assert not outcomes.exceptions


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["case"] in KEPT], ids=lambda case: case["case"]
)
def test_an_event_that_logstash_loses_is_kept_and_tagged(case: dict[str, Any]) -> None:
    assert case.get("error") == "pipeline stops" or case["output"] == []
    got, outcomes = run(case)
    assert len(got) == 1
    assert "_filterexception" in got[0]["tags"]
    assert outcomes.exceptions.total() >= 1
    assert not outcomes.dropped
