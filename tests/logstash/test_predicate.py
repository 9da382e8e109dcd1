"""A condition on its own, as `logpipe tap --where` takes it."""

from typing import Any

import pytest

from pipeline.errors import LogstashError
from pipeline.logstash.predicate import compile_condition

EVENT: dict[str, Any] = {"level": "ERROR", "service": "api", "context": {"ms": 12}, "tags": ["error"]}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('[level] == "ERROR"', True),
        ('[level] == "INFO"', False),
        ("[service] =~ /^ap/ and [context][ms] > 10", True),
        ("[context][ms] > 12 or [missing]", False),
        ('"error" in [tags] and !([service] == "web")', True),
        ("[service] > 3", False),  # Logstash would lose the event
        ('[level] == "ERROR" # with a comment', True),
    ],
)
def test_it_holds_or_not(condition: str, holds: bool) -> None:
    assert compile_condition(condition, "--where")(dict(EVENT)) is holds


@pytest.mark.parametrize(
    ("condition", "place"),
    [
        ('[level] = "ERROR"', "--where:1:9"),
        ("[level] ==", "--where:1:11"),
        ("", "--where:1:1"),
        ('[a] == "x" { } if [b]', "--where"),
        ("[a] { mutate { } }", "--where"),
    ],
)
def test_what_is_none_is_refused_with_its_place(condition: str, place: str) -> None:
    with pytest.raises(LogstashError) as refused:
        compile_condition(condition, "--where")
    assert str(refused.value).startswith(place), refused.value
