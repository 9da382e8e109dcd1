"""The table of outcomes, row by row, and the moving aside of a rejected field."""

import pytest

from pipeline.bulk.outcomes import Outcome, RequestOutcome, classify, classify_request, innermost_cause


@pytest.mark.parametrize(
    ("status", "error_type", "outcome"),
    [
        (200, None, Outcome.INDEXED),
        (201, None, Outcome.INDEXED),
        (409, "version_conflict_engine_exception", Outcome.ALREADY_THERE),
        (429, "es_rejected_execution_exception", Outcome.RETRY),
        (429, "cluster_block_exception", Outcome.RETRY),
        (429, "circuit_breaking_exception", Outcome.RETRY),
        (500, "node_closed_exception", Outcome.RETRY),
        (500, "not_x_content_exception", Outcome.REJECTED),
        (502, None, Outcome.RETRY),
        (503, "unavailable_shards_exception", Outcome.RETRY),
        (504, None, Outcome.RETRY),
        (403, "cluster_block_exception", Outcome.RETRY),
        (403, "security_exception", Outcome.REJECTED),
        (404, "index_not_found_exception", Outcome.RETRY_ONCE),
        (404, "something_else", Outcome.REJECTED),
        (400, "document_parsing_exception", Outcome.REJECTED),
        (400, "illegal_argument_exception", Outcome.REJECTED),
        (418, None, Outcome.REJECTED),
    ],
)
def test_outcome_of_an_item(status: int, error_type: str | None, outcome: Outcome) -> None:
    assert classify(status, error_type) is outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, RequestOutcome.SPLIT),
        (413, RequestOutcome.SPLIT),
        (408, RequestOutcome.RETRY),
        (429, RequestOutcome.RETRY),
        (500, RequestOutcome.RETRY),
        (503, RequestOutcome.RETRY),
        (401, RequestOutcome.FORBIDDEN),
        (403, RequestOutcome.FORBIDDEN),
        (404, RequestOutcome.FORBIDDEN),
        (406, RequestOutcome.FORBIDDEN),
    ],
)
def test_outcome_of_a_request(status: int, outcome: RequestOutcome) -> None:
    assert classify_request(status) is outcome


def test_the_innermost_cause_is_shown() -> None:
    error = {"reason": "outer", "caused_by": {"reason": "middle", "caused_by": {"type": "inner"}}}
    assert innermost_cause(error) == "inner"
    assert innermost_cause("text") == "text"
