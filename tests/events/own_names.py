"""Events that use the pipeline's own names, however spelt, and what must hold of the documents made of them."""

from collections.abc import Iterator
from typing import Any

import orjson
from hypothesis import strategies as st

OWN = ("kafka.topic", "kafka.partition", "kafka.offset", "error.fingerprint", "log.level", "message.keyword")
PARTS = (
    "kafka",
    "offset",
    "topic",
    "error",
    "fingerprint",
    "log",
    "level",
    "message",
    "keyword",
    "unmapped",
    "x",
    "",
)
names = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map(".".join)
scalars = st.integers(0, 9) | st.sampled_from(["a", "error", "INFO", None, True])
spellings = st.recursive(
    scalars,
    lambda inner: st.dictionaries(names, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=8,
)
own_events = st.dictionaries(names, spellings, max_size=5)


def check_own_fields(document: dict[str, Any]) -> None:
    """See that no own field has another value than the pipeline's: at most one each, and Kafka's exactly one."""
    values = {path: [value for at, value in leaves(document) if at == path] for path in OWN}
    assert values["kafka.topic"] == ["logs"]
    assert values["kafka.partition"] == [3]
    assert values["kafka.offset"] == [7]
    fingerprints = values["error.fingerprint"]
    assert len(fingerprints) == (document.get("level") == "ERROR")
    assert all(len(each) == 16 for each in fingerprints)
    assert values["message.keyword"] == []
    spelt = {
        "log.level" in document,
        "level" in (document["log"] if type(document.get("log")) is dict else ()),
    }
    assert spelt != {True}
    assert {at for at, _ in leaves(document) if at.startswith("kafka.")} == set(OWN[:3])
    aside = document.get("unmapped", {})
    assert not any(name.startswith("unmapped.") for name in document)
    assert not any(isinstance(value, dict | list) for value in aside.values())


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """List the values of a document by the field that Elasticsearch puts them into."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from leaves(child, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for child in value:
            yield from leaves(child, path)
    elif value is not None:
        yield path, value


def values_in(document: Any) -> list[Any]:
    """List all values, also those that were written as JSON text to be moved aside."""
    found = []
    for path, value in leaves(document):
        if path.startswith("unmapped.") and isinstance(value, str) and value[:1] in "[{":
            found += values_in(orjson.loads(value))
        else:
            found.append(value)
    return found
