"""docs/documents.md shows the table that the code has."""

import re
from itertools import takewhile
from pathlib import Path

import pytest

from pipeline.bulk.outcomes import REQUEST_ROWS, ROWS, Outcome, RequestOutcome, classify, classify_request
from pipeline.settings import DeadLetterLimit, IndexWait

PAGE = (Path(__file__).parents[2] / "docs/documents.md").read_text()


def table(head: str) -> list[list[str]]:
    """Give the cells of the table with this head row, without backticks."""
    lines = PAGE.split(f"{head}\n", 1)[1].splitlines()[1:]
    rows = takewhile(lambda line: line.startswith("|"), lines)
    return [[re.sub(r"^`|`$", "", cell[1:-1]) for cell in row[1:-1].split("|")] for row in rows]


def shown(statuses: range) -> str:
    return str(statuses.start) if len(statuses) == 1 else f"{statuses.start // 100}xx"


def test_the_rows_for_documents_are_those_of_the_code() -> None:
    rows = [
        [shown(s), error_type or "", words or "", outcome.value] for s, error_type, words, outcome in ROWS
    ]
    assert table("| status | type of error | the reason contains | fault |") == [
        *rows,
        ["other", "", "", classify(418, "", "").value],
    ]


def test_the_rows_for_requests_are_those_of_the_code() -> None:
    rows = [[shown(s), error_type or "", outcome.value] for s, error_type, outcome in REQUEST_ROWS]
    assert table("| status | type of error | then |") == [*rows, ["other", "", classify_request(418).value]]


def test_every_fault_is_explained() -> None:
    explained = [fault for fault, _ in table("| fault | then |")]
    assert explained == [outcome.value for outcome in Outcome if outcome is not Outcome.FLOOD]
    assert {outcome.value for outcome in RequestOutcome} <= {
        row[2] for row in table("| status | type of error | then |")
    }


@pytest.mark.parametrize("name", [*IndexWait.model_fields, *DeadLetterLimit.model_fields])
def test_every_setting_of_it_is_named(name: str) -> None:
    assert re.search(rf"`(index_wait|dead_letters)\.{name}`", PAGE)
