"""Configurations that are made up: each compiles or is refused with its place, and does what an interpreter does."""

import string
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from pipeline.errors import LogstashError
from pipeline.logstash.compiler import Context, compile_filters
from pipeline.logstash.fields import Event, copy_value
from pipeline.logstash.parse import parse
from pipeline.logstash.plugin import Origin, Outcomes
from pipeline.logstash.timestamp import Timestamp
from tests.logstash.interpreter import interpret

ORIGIN = Origin("topic", 0, 7, 1_700_000_000_000)
NAMES = st.sampled_from(["a", "b", "c", "tags", "message"])
FIELDS = st.one_of(
    NAMES.map(lambda name: f"[{name}]"),
    st.tuples(NAMES, st.sampled_from(["x", "y", "0", "-1"])).map(lambda pair: f"[{pair[0]}][{pair[1]}]"),
    st.just("[@metadata][k]"),
)
WORDS = st.sampled_from(
    ["x", "yes", "false", "", "5", "a b", " x ", "0x1f", "1e3", "é", "%{a}", "%{[b][x]}", "p-%{c}"]
)
LITERALS = st.one_of(
    WORDS.map(lambda text: f'"{text}"'), st.integers(-9, 99).map(str), st.sampled_from(["1.5", "-0.5"])
)
PATTERNS = st.sampled_from(["/x/", "/^a.*$/", r"/\d+/", '"e"', r"/(?i)YES|no/"])


def _compared(field: str, operator: str, literal: str) -> str:
    return f"{field} {operator} {literal}"


LEAVES = st.one_of(
    FIELDS,
    FIELDS.map(lambda field: f"!{field}"),
    st.builds(_compared, FIELDS, st.sampled_from(["==", "!=", "<", ">", "<=", ">="]), LITERALS),
    st.builds(_compared, LITERALS, st.sampled_from(["==", "<", ">="]), FIELDS),
    st.builds(_compared, FIELDS, st.sampled_from(["==", "<", "in", "not in"]), FIELDS),
    st.builds(_compared, FIELDS, st.sampled_from(["=~", "!~"]), PATTERNS),
    st.builds(_compared, LITERALS, st.sampled_from(["in", "not in"]), FIELDS),
    st.builds(_compared, FIELDS, st.sampled_from(["in", "not in"]), WORDS.map(lambda text: f'"{text}"')),
    st.builds(
        lambda field, texts: f"{field} in [{', '.join(texts)}]",
        FIELDS,
        # As in Logstash, `["%{[b]` begins a field's name here, not a list.
        st.lists(LITERALS.filter(lambda text: "[" not in text), min_size=2, max_size=3),
    ),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda a, op, b: f"({a}) {op} ({b})", inner, st.sampled_from(["and", "or", "xor", "nand"]), inner
        ),
        st.builds(lambda a, b, c: f"({a}) and ({b}) or ({c})", inner, inner, inner),
        inner.map(lambda text: f"!({text})"),
    ),
    max_leaves=4,
)
TARGETS = st.sampled_from(
    ["a", "b", "[a][x]", "[b][y][z]", "c", "[c][0]", "message", "tags", "%{a}", "[d][%{b}]"]
)
PLAIN = st.sampled_from(["a", "b", "[a][x]", "c", "message", "tags"])


def _hash(name: str, keys: st.SearchStrategy[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    entries = st.dictionaries(keys, values, min_size=1, max_size=2)
    return entries.map(
        lambda pairs: (
            name + " => { " + " ".join(f'"{key}" => "{value}"' for key, value in pairs.items()) + " }"
        )
    )


def _list(name: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=2).map(
        lambda texts: name + " => [" + ", ".join(f'"{text}"' for text in texts) + "]"
    )


COMMON = st.one_of(
    _hash("add_field", TARGETS, WORDS),
    _list("add_tag", WORDS),
    _list("remove_field", TARGETS),
    _list("remove_tag", WORDS),
)
MUTATE = st.one_of(
    COMMON,
    _hash("rename", TARGETS, TARGETS),
    _hash("update", TARGETS, WORDS),
    _hash("replace", TARGETS, WORDS),
    _hash("convert", PLAIN, st.sampled_from(["integer", "float", "string", "boolean"])),
    _list("uppercase", PLAIN),
    _list("lowercase", PLAIN),
    _list("strip", PLAIN),
    _hash("split", PLAIN, st.sampled_from([",", " ", "x"])),
    _hash("merge", PLAIN, PLAIN),
    _hash("copy", TARGETS, TARGETS),
)


def _block(name: str, options: list[str]) -> str:
    return name + " { " + " ".join(dict.fromkeys(options)) + " }"


PLUGINS = st.one_of(
    st.lists(MUTATE, max_size=3, unique_by=lambda text: text.split()[0]).map(
        lambda options: _block("mutate", options)
    ),
    st.just("drop { }"),
    st.lists(COMMON, max_size=2, unique_by=lambda text: text.split()[0]).map(
        lambda options: _block("json", ['source => "message"', *options])
    ),
    st.lists(COMMON, max_size=2, unique_by=lambda text: text.split()[0]).map(
        lambda options: _block("split", ['field => "c"', *options])
    ),
    st.lists(COMMON, max_size=1).map(lambda options: _block("clone", ['clones => ["k"]', *options])),
    st.lists(COMMON, max_size=1).map(
        lambda options: _block("grok", [r'match => { "message" => "%{WORD:a} %{INT:[b][x]:int}" }', *options])
    ),
)
BODIES = st.recursive(
    PLUGINS,
    lambda inner: st.builds(
        lambda condition, first, more, last: (
            f"if {condition} {{ {first} }}"
            + "".join(f" else if {other} {{ {body} }}" for other, body in more)
            + (f" else {{ {last} }}" if last else "")
        ),
        CONDITIONS,
        inner,
        st.lists(st.tuples(CONDITIONS, inner), max_size=1),
        st.one_of(st.none(), inner),
    ),
    max_leaves=4,
)
SECTIONS = st.lists(BODIES, min_size=1, max_size=4).map(
    lambda bodies: "filter {\n" + "\n".join(bodies) + "\n}"
)
SCALARS = st.one_of(
    st.sampled_from(["x", "yes", "false", "", "5", "7,x", " x ", "abc", '{"a":1}', "w 12", "é"]),
    st.integers(-9, 99),
    st.sampled_from([1.5, -0.5, 5.0, 1e21]),
    st.booleans(),
    st.none(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["x", "y", "z"]), inner, max_size=2)
    ),
    max_leaves=4,
)
EVENTS = st.builds(
    lambda fields, tags: {**fields, **({"tags": tags} if tags is not None else {})},
    st.dictionaries(st.sampled_from(["a", "b", "c", "d", "message"]), VALUES, max_size=4),
    st.one_of(
        st.none(), st.sampled_from(["x", "yes"]), st.lists(st.sampled_from(["x", "yes", "5"]), max_size=3)
    ),
)


def _event(fields: dict[str, Any]) -> Event:
    return {**copy_value(fields), "@timestamp": Timestamp.of_milliseconds(1_700_000_000_000), "@version": "1"}


@settings(
    max_examples=settings().max_examples,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(SECTIONS, st.lists(EVENTS, min_size=1, max_size=4))
def test_a_compiled_pipeline_does_what_the_interpreter_does(
    section: str, fields: list[dict[str, Any]]
) -> None:
    statements = parse(section).statements("filter")
    try:
        compiled = compile_filters(statements, Context())
    except LogstashError:
        return
    outcomes = Outcomes()
    events = [_event(inner) for inner in fields]
    left, origins = compiled.run(events, [ORIGIN] * len(events), outcomes)
    expected = [made for inner in fields for made in interpret(statements, [_event(inner)], ORIGIN)]
    assert left == expected
    assert [str(event) for event in left] == [str(event) for event in expected]
    assert len(origins) == len(left)


TOKENS = st.sampled_from(
    [
        *"{}[]()!,/",
        "=>",
        "==",
        "=~",
        "in",
        "not in",
        "and",
        "xor",
        "if",
        "else",
        "filter",
        "output",
        "mutate",
        "drop",
        "grok",
        "date",
        "match",
        "add_field",
        '"a"',
        "'b'",
        "5",
        "-1.5",
        "[a]",
        "[a][b]",
        "/x/",
        "true",
        "\n",
        "# c\n",
        '"',
    ]
)


@settings(max_examples=2 * settings().max_examples, deadline=None)
@given(
    st.one_of(st.lists(TOKENS, max_size=25).map(" ".join), st.text(string.printable, max_size=60), SECTIONS)
)
def test_any_text_compiles_or_is_refused_with_its_place(text: str) -> None:
    error = _refusal(text)
    if error is not None:
        assert error.file == "x.conf"
        assert error.line >= 1
        assert error.column >= 1
        assert error.problem


def _refusal(text: str) -> LogstashError | None:
    try:
        compile_filters(parse(text, "x.conf").statements("filter"), Context())
    except LogstashError as error:
        return error
    return None
