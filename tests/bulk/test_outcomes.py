"""The table of outcomes, row by row, and the moving aside of a rejected field."""

import pytest

from pipeline.bulk.outcomes import Outcome, RequestOutcome, classify, classify_request, innermost_cause

D, I, P, C, R, U = (  # noqa: E741 - a table
    Outcome.DOCUMENT,
    Outcome.INDEX,
    Outcome.PASSING,
    Outcome.CLUSTER,
    Outcome.RIGHTS,
    Outcome.UNKNOWN,
)


@pytest.mark.parametrize(
    ("status", "error_type", "reason", "outcome"),
    [
        (200, "", "", Outcome.INDEXED),
        (201, "", "", Outcome.INDEXED),
        (409, "version_conflict_engine_exception", "", Outcome.ALREADY_THERE),
        (400, "document_parsing_exception", "failed to parse field [n] of type [long]", D),
        (400, "mapper_parsing_exception", "", D),
        (
            400,
            "mapper_parsing_exception",
            "Failed to parse mapping [_doc]: analyzer [x] has not been configured",
            C,
        ),
        (400, "illegal_argument_exception", "unknown setting [index.lifecycle.name] please check that", C),
        (
            400,
            "illegal_argument_exception",
            "composable template [logs] template after composition is invalid",
            C,
        ),
        (400, "strict_dynamic_mapping_exception", "", D),
        (400, "parsing_exception", "", D),
        (400, "x_content_parse_exception", "", D),
        (400, "illegal_argument_exception", 'Document contains at least one immense term in field="m"', D),
        (400, "illegal_argument_exception", "mapper [m] cannot be changed from type [long] to [text]", D),
        (400, "illegal_argument_exception", "can't merge a non object mapping [m] with an object mapping", D),
        (400, "illegal_argument_exception", "Limit of total fields [1000] has been exceeded", D),
        (413, "", "", D),
        (500, "not_x_content_exception", "", D),
        (400, "illegal_argument_exception", "pipeline with id [enrich-x] does not exist", I),
        (400, "illegal_argument_exception", "no write index is defined for alias [a]", I),
        (400, "index_closed_exception", "closed", I),
        (403, "cluster_block_exception", "index [i] blocked by: [FORBIDDEN/8/index write (api)];", I),
        (
            400,
            "illegal_argument_exception",
            "Number of documents in shard [[i][0]] exceeds the limit of [2147483519] documents per shard",
            I,
        ),
        (400, "illegal_argument_exception", "number of documents in the index cannot exceed 2147483519", I),
        (400, "routing_missing_exception", "routing is required for [i]/[1]", I),
        (
            400,
            "illegal_argument_exception",
            "Rejecting mapping update to [i] as the final mapping would have more than 1 type: [_doc, doc]",
            I,
        ),
        (400, "invalid_index_name_exception", "Invalid index name [I], must be lowercase", I),
        (400, "resource_already_exists_exception", "index [i/x] already exists", P),
        (403, "cluster_block_exception", "blocked by: [FORBIDDEN/6/cluster read-only (api)];", C),
        (403, "cluster_block_exception", "blocked by: [FORBIDDEN/10/cluster create-index blocked (api)];", C),
        (
            403,
            "index_create_block_exception",
            "blocked by: [FORBIDDEN/10/cluster create-index blocked (api)];",
            C,
        ),
        (
            403,
            "cluster_block_exception",
            "blocked by: [FORBIDDEN/12/index read-only / allow delete (api)];",
            C,
        ),
        (
            403,
            "cluster_block_exception",
            "index [cluster i] blocked by: [FORBIDDEN/5/index read-only (api)];",
            I,
        ),
        (403, "cluster_block_exception", "index [i] blocked by: [FORBIDDEN/9/index metadata (api)];", I),
        (408, "", "", P),
        (429, "es_rejected_execution_exception", "", P),
        (429, "circuit_breaking_exception", "", P),
        (429, "rejected_execution_exception", "rejected execution of coordinating operation", P),
        (500, "node_closed_exception", "", P),
        (502, "", "", P),
        (503, "unavailable_shards_exception", "", P),
        (504, "", "", P),
        (429, "cluster_block_exception", "disk usage exceeded flood-stage watermark", C),
        (
            400,
            "validation_exception",
            "this cluster currently has [1000]/[1000] maximum normal shards open;",
            C,
        ),
        (404, "index_not_found_exception", "no such index [i] and [action.auto_create_index] ([false])", C),
        (
            400,
            "illegal_argument_exception",
            "but this cluster currently has [1000]/[1000] maximum shards open;",
            C,
        ),
        (404, "shard_not_found_exception", "no such shard", P),
        (404, "resource_not_found_exception", "Could not find trained model [m]", P),
        (401, "security_exception", "", R),
        (403, "authorization_exception", "", R),
        (403, "", "", R),
        (403, "security_exception", "action [indices:data/write/bulk[s]] is unauthorized", R),
        (400, "illegal_argument_exception", "anything else", U),
        (400, "some_exception", "", U),
        (418, "", "", U),
    ],
)
def test_outcome_of_an_item(status: int, error_type: str, reason: str, outcome: Outcome) -> None:
    assert classify(status, error_type, reason) is outcome


@pytest.mark.parametrize(
    ("operation", "status", "error_type", "outcome"),
    [
        ("update", 200, "", Outcome.INDEXED),
        ("update", 404, "document_missing_exception", D),
        ("update", 404, "index_not_found_exception", D),
        ("update", 409, "version_conflict_engine_exception", P),
        ("update", 503, "unavailable_shards_exception", P),
        ("delete", 200, "", Outcome.INDEXED),
        ("delete", 404, "", Outcome.ALREADY_THERE),
        ("delete", 404, "index_not_found_exception", Outcome.ALREADY_THERE),
        ("index", 404, "index_not_found_exception", C),
        ("index", 409, "version_conflict_engine_exception", Outcome.ALREADY_THERE),
    ],
)
def test_outcome_of_what_is_changed(operation: str, status: int, error_type: str, outcome: Outcome) -> None:
    assert classify(status, error_type, "", operation) is outcome


@pytest.mark.parametrize(
    ("status", "error_type", "outcome"),
    [
        (400, "illegal_argument_exception", RequestOutcome.SPLIT),
        (400, "media_type_header_exception", RequestOutcome.FORBIDDEN),
        (413, "", RequestOutcome.SPLIT),
        (408, "", RequestOutcome.RETRY),
        (429, "", RequestOutcome.RETRY),
        (500, "", RequestOutcome.RETRY),
        (503, "", RequestOutcome.RETRY),
        (401, "", RequestOutcome.FORBIDDEN),
        (403, "", RequestOutcome.FORBIDDEN),
        (404, "", RequestOutcome.FORBIDDEN),
        (406, "", RequestOutcome.FORBIDDEN),
    ],
)
def test_outcome_of_a_request(status: int, error_type: str, outcome: RequestOutcome) -> None:
    assert classify_request(status, error_type) is outcome


def test_the_innermost_cause_is_shown() -> None:
    error = {"reason": "outer", "caused_by": {"reason": "middle", "caused_by": {"type": "inner"}}}
    assert innermost_cause(error) == "inner"
    assert innermost_cause("text") == "text"
