"""What the compiler adds to the filters: stages, drops that are counted, exceptions that are tagged, refusals."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.errors import LogstashError
from pipeline.logstash.compiler import Compiled, Context, compile_filters
from pipeline.logstash.fields import Event
from pipeline.logstash.parse import parse
from pipeline.logstash.plugin import Origin, Outcomes
from pipeline.logstash.timestamp import Timestamp

ORIGINS = [Origin("t", 0, number, 1_700_000_000_000) for number in range(4)]


def compiled(text: str, functions: dict[str, Callable[..., Any]] | None = None, **context: Any) -> Compiled:
    statements = parse(f"filter {{\n{text}\n}}", "a.conf").statements("filter")
    return compile_filters(statements, Context(ecs="disabled", functions=functions or {}, **context))


def event(**fields: Any) -> Event:
    return {"@timestamp": Timestamp.of_milliseconds(0), "@version": "1", **fields}


def run(pipeline: Compiled, *events: Event) -> tuple[list[Event], list[Origin], Outcomes]:
    outcomes = Outcomes()
    left, origins = pipeline.run(list(events), ORIGINS[: len(events)], outcomes)
    return left, list(origins), outcomes


def test_an_empty_section_gives_back_the_very_lists() -> None:
    events, origins = [event()], ORIGINS[:1]
    pipeline = compiled("")
    left, same = pipeline.run(events, origins, Outcomes())
    assert pipeline.is_empty
    assert left is events
    assert same is origins


def test_a_drop_is_an_outcome_with_its_filter_and_record() -> None:
    pipeline = compiled('if [level] == "DEBUG" { drop { } }')
    left, origins, outcomes = run(pipeline, event(level="DEBUG"), event(level="INFO"), event(level="DEBUG"))
    assert [made["level"] for made in left] == ["INFO"]
    assert origins == [ORIGINS[1]]
    assert outcomes.dropped == [(ORIGINS[0], "drop, line 2"), (ORIGINS[2], "drop, line 2")]


def test_parts_of_a_split_keep_the_record_that_they_come_from() -> None:
    pipeline = compiled(
        'if [l] { split { field => "l" } } else { mutate { add_tag => ["whole"] } }\nif [l] == 2 { drop { } }'
    )
    left, origins, outcomes = run(pipeline, event(l=[1, 2, 3]), event(a=1))
    assert [(made.get("l"), made.get("tags")) for made in left] == [(1, None), (3, None), (None, ["whole"])]
    assert origins == [ORIGINS[0], ORIGINS[0], ORIGINS[1]]
    assert outcomes.dropped == [(ORIGINS[0], "drop, line 3")]


def test_an_exception_of_a_filter_is_tagged_counted_and_loses_nothing() -> None:
    pipeline = compiled('truncate { fields => ["o"] length_bytes => 2 }\nmutate { add_tag => ["after"] }')
    left, _origins, outcomes = run(pipeline, event(o={"k": "long"}))
    assert left[0]["tags"] == ["_filterexception", "after"]
    assert outcomes.exceptions == {"truncate, line 2": 1}
    assert outcomes.samples["truncate, line 2"].startswith("TypeError: ")


def test_a_condition_that_cannot_be_decided_is_false_as_a_whole() -> None:
    pipeline = compiled(
        'if !([n] > 5) { mutate { add_tag => ["yes"] } } else { mutate { add_tag => ["no"] } }'
    )
    left, _origins, outcomes = run(pipeline, event(), event(n=3))
    assert [made["tags"] for made in left] == [["_filterexception", "no"], ["yes"]]
    assert outcomes.exceptions == {"if, line 2": 1}


def test_a_search_that_takes_too_long_makes_a_condition_false() -> None:
    pipeline = compiled(r'if [m] =~ /^(\w+\s?)*$/ { mutate { add_tag => ["m"] } }', timeout=0.05)
    left, _origins, outcomes = run(pipeline, event(m="aaaa " * 20 + "!"))
    assert left[0]["tags"] == ["_filterexception"]
    assert outcomes.exceptions == {"if, line 2": 1}


def test_a_grok_that_takes_too_long_tags_as_logstash_does() -> None:
    pipeline = compiled(
        r'grok { match => { "message" => "^(?<a>(\w+\s?)*)$" } add_tag => ["ok"] }', timeout=0.05
    )
    left, _origins, outcomes = run(pipeline, event(message="aaaa " * 20 + "!"))
    assert left[0]["tags"] == ["_groktimeout"]
    assert not outcomes.exceptions


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        (r'mutate { gsub => ["m", "^(\w+\s?)*$", "x"] }', "_mutate_error"),
        (r'mutate { gsub => ["m", "(a|a)*\d", "x"] }', "_mutate_error"),
        (r'grok { match => { "m" => "^(?:[a-z]+ ?)+\d$" } }', "_groktimeout"),
        (r'kv { source => "m" value_split_pattern => "(a+)+\d" }', "_kv_filter_timeout"),
        (r'translate { source => "m" regex => true dictionary => { "^(\w+\s?)*$" => "x" } }', "_filterexception"),
        (r'prune { whitelist_values => ["m", "^(\w+\s?)*$"] }', "_filterexception"),
    ],
)  # fmt: skip
def test_an_expression_that_takes_too_long_is_tagged_in_every_filter(text: str, tag: str) -> None:
    left, _origins, _outcomes = run(compiled(text, timeout=0.05), event(m="aaaa " * 20 + "a" * 30 + "!"))
    assert left[0]["tags"] == [tag]
    assert left[0]["m"].endswith("!")


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_grok_without_a_time_of_its_own_has_that_of_the_settings(timeout: int) -> None:
    pipeline = compiled(
        rf'grok {{ match => {{ "message" => "^(?<a>(\w+\s?)*)$" }} timeout_millis => {timeout} }}',
        timeout=0.05,
    )
    left, _origins, outcomes = run(pipeline, event(message="aaaa " * 20 + "!"))
    assert left[0]["tags"] == ["_groktimeout"]
    assert not outcomes.exceptions


def test_a_part_of_the_events_is_dropped_the_same_way_each_time() -> None:
    pipeline = compiled("drop { percentage => 50 }")
    origins = [Origin("t", 0, number, 0) for number in range(400)]
    kept = [pipeline.run([event() for _ in origins], origins, Outcomes())[1] for _ in range(2)]
    assert kept[0] == kept[1]
    assert 120 < len(kept[0]) < 280


def test_clones_have_a_type_or_a_tag_and_their_own_values() -> None:
    pipeline = compiled(
        'clone { clones => ["c"] }\nif [type] == "c" { mutate { replace => { "[a][b]" => "2" } } }'
    )
    left, _origins, _outcomes = run(pipeline, event(a={"b": "1"}))
    assert sorted(made["a"]["b"] for made in left) == ["1", "2"]


def test_the_source_is_python_that_can_be_read() -> None:
    source = compiled('if [level] == "DEBUG" { drop { } }\nmutate { replace => { "a" => "x-%{b}" } }').source
    assert "event.get('level') == 'DEBUG'" in source
    assert "# drop, line 2" in source
    assert "event['a'] = 'x-'" in source


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("mutate { ad_field => {} }", 2, 10, "has no option `ad_field`"),
        ("nosuch { }", 2, 1, "`nosuch` is not supported"),
        ('aggregate { task_id => "1" }', 2, 1, "keeps state"),
        ("json { }", 2, 1, "needs the option `source`"),
        ('json { source => ["a", "b"] }', 2, 8, "takes a text"),
        ('mutate { convert => { "a" => "date" } }', 2, 10, "cannot convert `a` to `date`"),
        ('mutate { convert => { "a" => "integer" } convert => { "a" => "float" } }', 2, 10, "cannot convert"),
        ('mutate { uppercase => ["%{+b}"] }', 2, 10, "the letter `b`"),
        ('mutate { gsub => ["%{+b}", "a", "b"] }', 2, 10, "the letter `b`"),
        ('dissect { convert_datatype => { "a" => ["int"] } }', 2, 11, "cannot convert to"),
        ('mutate { gsub => ["a", "(", "b"] }', 2, 10, "regular expression"),
        ('mutate { gsub => ["a", "b"] }', 2, 10, "threes"),
        ('grok { match => { "m" => "%{NOSUCH}" } }', 2, 8, "not defined"),
        ('grok { match => { "m" => "%{A}" } pattern_definitions => { "A" => "%{A}" } }', 2, 8, "itself"),
        ('date { match => ["t"] }', 2, 8, "at least one format"),
        ('date { match => ["t", "yyyy-bb"] }', 2, 8, "`bb`"),
        ('date { match => ["t", "ISO8601"] timezone => "Nowhere/City" }', 2, 34, "no time zone"),
        ('date { match => ["t", "MMM"] locale => "xx" }', 2, 30, "not known"),
        ('if "a" { drop { } }', 2, 4, "constant is no condition"),
        ("if [a[b] { drop { } }", 2, 4, "no field reference"),
        ('mutate { add_field => { "a" => "%{+QQQ}" } }', 2, 10, "`Q`"),
        ('csv { separator => ";;" }', 2, 1, "one character"),
        ('translate { source => "a" dictionary_path => "/none.yml" }', 2, 27, "does not exist"),
        ('ruby { code => "system(1)" }', 2, 8, "def enrich"),
        ('python { function => "nosuchmodule:f" }', 2, 10, "cannot be imported"),
        ('geoip { source => "ip" }', 2, 1, "`database`"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_place(text: str, line: int, column: int, part: str) -> None:
    with pytest.raises(LogstashError) as caught:
        compiled(text)
    assert part in str(caught.value)
    assert (caught.value.file, caught.value.line, caught.value.column) == ("a.conf", line, column)


def test_long_configurations_are_no_deep_ones() -> None:
    chain = 'if [a] == "x" { drop { } }' + "".join(
        f' else if [a] == "{number}" {{ mutate {{ add_tag => "{number}" }} }}' for number in range(400)
    )
    many = " or ".join(f'[a] == "{number}"' for number in range(600))
    pipeline = compiled(
        f"{chain}\nif {many} {{ mutate {{ add_tag => 'known' }} }}\n" + 'mutate { add_tag => "t" }\n' * 400
    )
    left, _origins, _outcomes = run(pipeline, event(a="399"))
    assert left[0]["tags"][:3] == ["399", "known", "t"]


def test_nesting_is_bounded() -> None:
    with pytest.raises(LogstashError, match="nested too deep"):
        compiled("if [a] { " * 45 + "drop { }" + " }" * 45)
    with pytest.raises(LogstashError, match="nested too deep"):
        compiled("mutate { add_field => " + "[" * 500 + "]" * 500 + " }")


def test_a_function_of_the_users_gives_one_event_several_or_none() -> None:
    def enrich(made: Event) -> Any:
        match made["n"]:
            case 0:
                return None
            case 1:
                return {**made, "one": True}
            case 2:
                return [{**made, "part": part} for part in range(2)]
            case 3:
                made["n"] = "changed"
                raise RuntimeError("no")
        return 42

    pipeline = compiled('python { function => "mine" add_tag => ["ok"] }', functions={"mine": enrich})
    left, _origins, outcomes = run(pipeline, *(event(n=number) for number in range(4)))
    assert outcomes.dropped == [(ORIGINS[0], "python, line 2")]
    assert [(made["n"], made.get("part"), made["tags"]) for made in left] == [
        (1, None, ["ok"]),
        (2, 0, ["ok"]),
        (2, 1, ["ok"]),
        (3, None, ["_pythonexception"]),
    ]
    assert outcomes.exceptions == {"python, line 2": 1}
    assert outcomes.samples == {"python, line 2": "RuntimeError: no"}
    left, _origins, _outcomes = run(pipeline, event(n=9))
    assert left[0]["tags"] == ["_pythonexception"]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('mutate { convert => { "a" => "integer" } }', {"a": "1e999999999"}),
        ('dissect { convert_datatype => { "a" => "int" } }', {"a": "1e999999999"}),
        ('mutate { replace => { "[a][900000000]" => "x" } }', {"a": [1]}),
        ('mutate { gsub => ["a", "%{p}", "x"] }', {"a": "b", "p": "(" * 3000}),
        ('date { match => ["a", "UNIX", "UNIX_MS", "ISO8601", "yyyy"] }', {"a": "9" * 5000}),
        ('grok { match => { "a" => "%{INT:n:int}" } }', {"a": "9" * 5000}),
        ('csv { source => "a" }', {"a": '"' * 50_000}),
        ('kv { source => "a" }', {"a": "\\=" * 20_000}),
        ('xml { source => "a" target => "x" }', {"a": "<a>" * 5000}),
        ('json { source => "a" }', {"a": "[" * 100_000}),
    ],
)
def test_hostile_values_are_tagged_and_end_soon(text: str, fields: dict[str, Any]) -> None:
    left, _origins, _outcomes = run(compiled(text, timeout=0.2), event(**fields))
    assert len(left) == 1
    assert "tags" in left[0] or text.startswith(("csv", "kv", "date"))


def test_a_function_may_set_the_time_as_a_text_or_a_date() -> None:
    pipeline = compiled(
        'python { function => "mine" }',
        functions={"mine": lambda made: {**made, "@timestamp": "2024-01-15T10:30:00Z"}},
    )
    left, _origins, _outcomes = run(pipeline, event())
    assert str(left[0]["@timestamp"]) == "2024-01-15T10:30:00.000Z"
