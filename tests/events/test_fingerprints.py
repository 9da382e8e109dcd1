"""The same fault has the same fingerprint, another has another, and nothing makes it fail or slow."""

import re
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from pipeline.events.document import Coordinates, DocumentBuilder
from pipeline.events.fingerprints import FINGERPRINT_FIELD, fingerprint, pattern
from pipeline.settings import Events, Index

TRACE = """Traceback (most recent call last):
  File "/srv/app-{release}/api/orders.py", line {line}, in create
    self.pool.acquire(timeout={seconds})
  File "/usr/lib/python3.11/site-packages/pool.py", line 88, in acquire
TimeoutError: no connection to 10.1.{host}.7:5432 within {seconds} s"""


def failure(**fields: Any) -> dict[str, Any]:
    return {"level": "ERROR", "message": "Query failed", "service": "api", **fields}


NOW_MS = 1_705_314_600_000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("user 17 not found", "user 4711 not found"),
        ("took 1.5 s", "took 30.25 s"),
        ("at 0x7ffe12", "at 0xdeadBEEF"),
        ("job d4a43418-74cd-4adb-9e24-9c42697be39e died", "job 3fcce4e0-f466-4703-be9b-6729a3734a17 died"),
        ("token 3f2a9c1b7d is invalid", "token 00ffee112233445566778899 is invalid"),
        ("cannot read /var/lib/a/b/state.json", "cannot read /srv/x/state.json"),
        ("no mail to ann@example.org", "no mail to bob.b+x@mail.example.com"),
        ("two  words\n here", "two words here"),
        ("2024-01-15T10:30:00.123Z late", "2025-11-23T01:02:03.999Z late"),
    ],
)
def test_what_varies_between_occurrences_does_not_count(one: str, other: str) -> None:
    assert fingerprint(failure(message=one)) == fingerprint(failure(message=other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("user 17 not found", "order 17 not found"),
        ("cannot read /a/state.json", "cannot read /a/config.json"),
        ("cannot read x", "cannot write x"),
        ("facade added", "decade faded"),
    ],
)
def test_what_tells_faults_apart_counts(one: str, other: str) -> None:
    assert fingerprint(failure(message=one)) != fingerprint(failure(message=other))


def test_stack_traces_are_the_same_wherever_and_whenever_they_were_written() -> None:
    one = TRACE.format(release="1.9.0", line=17, seconds=5, host=3)
    other = TRACE.format(release="1.10.2", line=21, seconds=30, host=12)
    elsewhere = other.replace("in create", "in delete")
    fingerprints = [fingerprint(failure(context={"stack_trace": each})) for each in (one, other, elsewhere)]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_the_kind_of_exception_counts() -> None:
    kinds = [fingerprint(failure(context={"exception_type": kind})) for kind in ("TimeoutError", "OSError")]
    assert kinds[0] != kinds[1] != fingerprint(failure())


def test_ecs_fields_serve_as_well_as_the_contexts() -> None:
    ours = failure(context={"exception_type": "E", "stack_trace": "at f"})
    nested = failure(error={"type": "E", "stack_trace": "at f"})
    dotted = failure(**{"error.type": "E", "error.stack_trace": "at f"})
    assert fingerprint(ours) == fingerprint(nested) == fingerprint(dotted)


def test_a_fingerprint_stays_what_it_is() -> None:
    # A change would make every known error a new one: of each of them there is a document with this id.
    assert fingerprint(failure(message="user 17 not found")) == "4b0a66854ab5fb02"


# What varies, as one pattern over the whole of a text, which defines what the product does line by line, word by word.
VARIABLE = re.compile(
    r"""
      (?P<id> \b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b )
    | (?P<hex> \b0[xX][0-9a-fA-F]+\b )
    | (?P<email> [\w.+-]{1,64}@[\w-]+\.[\w.-]+ )
    | (?P<path> (?:[A-Za-z]:)?(?:[\\/][\w.@~+-]+)+[\\/](?=[\w.@~+-]) )
    | (?P<digest> \b(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}\b )
    | (?P<n> [-+]?(?:\d+(?:[.,:]\d+)*)(?:[eE][-+]?\d+)? )
    | (?P<space> \s+ )
    """,
    re.VERBOSE,
)
PLACEHOLDERS = {"hex": "<hex>", "email": "<email>", "path": "", "n": "<n>", "space": " "}
PARTS = st.sampled_from(
    [*" \n\t\r\x1c\x85\u2028\u00a0a/\\@.-:0e", "0x7f", "deadbee1", "x@b.co", "C:/a/b", "1.5e3", "é", "٣", "_", "(", ";",
     "d4a43418-74cd-4adb-9e24-9c42697be39e", "word", 'File "/srv/a/b.py", line 7, in f']
)  # fmt: skip


@given(st.lists(PARTS, max_size=20).map("".join) | st.text(max_size=60))
def test_word_by_word_is_as_the_whole_text_at_once(text: str) -> None:
    whole = VARIABLE.sub(lambda match: PLACEHOLDERS.get(match.lastgroup or "", "<id>"), text).strip()
    assert pattern(text) == whole


def test_an_error_known_by_its_names_alone_is_known_by_the_ends_of_them() -> None:
    named = dict.fromkeys([f"customer_attribute_{number:05}" for number in range(400)], 1)
    assert fingerprint({"level": "ERROR", **named}) == "811552d75f89f4f9"


def test_long_lines_and_words_are_as_short_ones() -> None:
    line = " ".join(["took 15 s"] * 100)
    word = "(x" * 400 + ":7"
    assert pattern(f"a\n{line}\n{word}") == f"a {line} {word}".replace("15", "<n>").replace("7", "<n>")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), lambda x: st.lists(x, max_size=2)
)


@given(JSON, JSON, JSON)
def test_nothing_makes_it_fail(message: Any, context: Any, trace: Any) -> None:
    for event in (
        failure(message=message, context=context),
        failure(message=message, context={"stack_trace": trace, "exception_type": context}, error=trace),
    ):
        result = fingerprint(event)
        assert len(result) == 16
        assert int(result, 16) >= 0


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "unit", ["a", "1", "/a", "a.", "a@", "0x", "-", " ", "a-", "é", "\\", "1a", "\ud800"]
)
def test_no_text_takes_long(unit: str) -> None:
    for length in (8192, 1_000_000):
        pattern(unit * length)
        fingerprint(failure(message=unit * length, context={"stack_trace": unit * length}))


def document(event: dict[str, Any], **settings: Any) -> dict[str, Any]:
    builder = DocumentBuilder(Events.model_validate(settings), Index())
    (made,) = builder.documents(orjson.dumps(event), Coordinates("logs", 0, 1, NOW_MS), NOW_MS)
    decoded: dict[str, Any] = orjson.loads(made.source)
    return decoded


def test_errors_carry_it_and_others_do_not() -> None:
    assert document(failure())[FINGERPRINT_FIELD] == fingerprint(failure())
    assert document(failure(level="fatal"))[FINGERPRINT_FIELD] == fingerprint(failure())
    assert FINGERPRINT_FIELD not in document(failure(level="WARN"))
    assert FINGERPRINT_FIELD not in document(failure(), fingerprints=False)


def test_what_came_under_its_name_is_moved_aside() -> None:
    made = document(failure(**{FINGERPRINT_FIELD: "theirs"}))
    assert made[FINGERPRINT_FIELD] == fingerprint(failure())
    assert made["unmapped"] == {FINGERPRINT_FIELD: "theirs"}
