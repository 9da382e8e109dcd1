"""Documents that are made up: of an event, and of everything that a document may hold."""

from typing import Any

from hypothesis import strategies as st

from pipeline.shadow.comparison import Comparison, Made, Parity
from pipeline.shadow.differences import Written
from pipeline.shadow.keys import Place
from pipeline.shadow.shelf import Shelf

TOPIC = "logs"
NAMES = st.sampled_from(["a", "b", "c.d", "message", "level", "tags", "event", "kafka_offset", "é"])
SCALARS = st.one_of(
    st.text(max_size=6),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)
DOCUMENTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(NAMES, VALUES, max_size=5)


def compare(
    ours: list[tuple[int, list[dict[str, Any]]]],
    theirs: list[dict[str, Any]],
    *,
    values: dict[int, bytes] | None = None,
    topics: frozenset[str] = frozenset({TOPIC}),
    pending: frozenset[int] = frozenset(),
    ignored: tuple[str, ...] = (),
) -> Parity:
    """Compare records, by their offsets, with documents, in memory."""
    shelf = Shelf()
    try:
        comparison = Comparison(shelf, topics, ignored)
        comparison.theirs(
            (Written(document, "logstash-2024", str(number)), True) for number, document in enumerate(theirs)
        )
        for offset, documents in ours:
            comparison.record(
                Place(TOPIC, 0, offset, 1_700_000_000_000),
                (values or {}).get(offset, b"%d" % offset),
                Made([Written(document) for document in documents]),
                pending=offset in pending,
            )
        return comparison.finish()
    finally:
        shelf.close()
