"""Every plugin with every option and value that the grammar allows: compiled or refused with its place, and run."""

from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from pipeline.errors import LogstashError
from pipeline.logstash.compiler import Context
from pipeline.logstash.configuration import Pipeline, compile_pipeline
from pipeline.logstash.coverage import Finding, cover, finding_of
from pipeline.logstash.equivalent import settings_toml
from pipeline.logstash.filters import FILTERS, REFUSED
from pipeline.logstash.input_options import INPUT_OPTIONS
from pipeline.logstash.options import COMMON, Option
from pipeline.logstash.output_options import OUTPUT_OPTIONS
from pipeline.logstash.parse import parse
from pipeline.logstash.plugin import Origin
from pipeline.logstash.trial import Sample, try_sample
from tests.logstash.test_agreement import CONDITIONS, EVENTS

TEXTS = st.one_of(
    st.sampled_from(
        [
            "message", "[a][b]", "[@metadata][k]", "@timestamp", "tags", "a", "[", "[a", "a]", "[]", "",
            "%{a}", "%{[a][x]}", "%{", "%{+YYYY.MM.dd}", "%{+QQ}", "%{{yyyy}}", "%{{TIME_NOW}}", "%{+%s}",
            "ISO8601", "UNIX", "UNIX_MS", "TAI64N", "yyyy-MM-dd HH:mm:ss,SSS", "dd/MMM/yyyy:HH:mm:ss Z", "'", "bb",
            "%{WORD:a}", "%{COMBINEDAPACHELOG}", "%{NOSUCH:x}", "(?<x>a+)+", "(", "[a-", "(?~x)", "a{2,1}", "\\p{Lu}",
            "%{a} %{+b} %{?c} %{&c}", "%{a->} %{b/2}", "%{}", "integer", "float", "boolean", "string", "int", "MD5",
            "SHA256", "MURMUR3", "MURMUR3_128", "PUNCTUATION", "UUID", "IPV4_NETWORK", "127.0.0.1", "10.0.0.0/8",
            "::/0", "300.1.1.1", "UTC", "Europe/Berlin", "Nowhere/City", "en", "de-DE", "xx", "lenient", "strict",
            "lowercase", "capitalize", "basic", "extended", "true", "false", "v8", "v1", "disabled", "0", "-1", "1.5",
            "9" * 30, "json", "plain", "none.yml", "http://es", "es:9200", "index", "update", "auto", "SASL_SSL",
            "event.get('a')", "event.set('a', event.get('b'))", "system('ls')", "no_module:f", "é", "//a/b/text()",
        ]
    ),
    st.text(st.characters(exclude_characters='"\\', exclude_categories=["Cs"]), max_size=8),
)  # fmt: skip
QUOTED = TEXTS.map(lambda text: '"' + text.replace('"', "'").rstrip("\\") + '"')
SCALARS = st.one_of(
    QUOTED, st.integers(-3, 10**20).map(str), st.sampled_from(["true", "false", "1.5", "bare"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda parts: "[" + ", ".join(parts) + "]"),
        st.lists(st.tuples(QUOTED, inner), max_size=3).map(
            lambda pairs: "{ " + " ".join(f"{name} => {value}" for name, value in pairs) + " }"
        ),
    ),
    max_leaves=5,
)
HASHES = st.lists(st.tuples(QUOTED, st.one_of(SCALARS, VALUES)), max_size=3).map(
    lambda pairs: "{ " + " ".join(f"{name} => {value}" for name, value in pairs) + " }"
)
LISTS = st.lists(SCALARS, max_size=4).map(lambda parts: "[" + ", ".join(parts) + "]")
# Mostly what the option takes, so that most configurations come as far as being built; else anything.
OF_KIND = {
    "string": QUOTED,
    "array": LISTS,
    "hash": HASHES,
    "number": st.integers(-3, 10**6).map(str),
    "boolean": st.sampled_from(["true", "false"]),
    "any": VALUES,
}


# What is rarely met by chance: values that make the option do something.
GROKS = st.sampled_from(
    [
        "%{WORD:a} %{NUMBER:[b][x]:int}",
        "%{COMBINEDAPACHELOG}",
        "(?<a>\\w+)=(?<[c][y]>.*)",
        "%{GREEDYDATA:message}",
        "%{MINE:z}",
    ]
).map(lambda text: f'"{text}"')
USEFUL: dict[tuple[str, str], st.SearchStrategy[str]] = {
    ("grok", "match"): st.tuples(QUOTED, GROKS).map(lambda pair: f"{{ {pair[0]} => {pair[1]} }}"),
    ("grok", "pattern_definitions"): st.just('{ "MINE" => "[a-c]+" }'),
    ("grok", "patterns_dir"): st.just("[]"),
    ("date", "match"): st.lists(QUOTED, min_size=1, max_size=2).map(
        lambda formats: '["a", ' + ", ".join([*formats, '"ISO8601"']) + "]"
    ),
    ("mutate", "convert"): st.tuples(QUOTED, st.sampled_from(["integer", "float", "boolean", "string"])).map(
        lambda pair: f"{{ {pair[0]} => {pair[1]} }}"
    ),
    ("mutate", "gsub"): st.tuples(QUOTED, QUOTED, QUOTED).map(lambda parts: f"[{', '.join(parts)}]"),
    ("dissect", "mapping"): st.just('{ "message" => "%{a} %{+a} %{?k}=%{&k}" }'),
    ("ruby", "code"): st.sampled_from(
        [
            "event.set('a', event.get('b').to_s + 'x')", "event.get('[b]').each { |k, v| event.set(k, v) }",
            "event.set('n', event.get('a').to_i / event.get('c').to_i)", "event.cancel if event.get('a').nil?",
            "event.tag('t'); event.remove('message')", "event.set('t', Time.now.to_i)",
            "event.set('h', event.get('message').hex)", "event.set('a', event.get('a').uniq)",
        ]
    ).map(lambda code: f'"{code}"'),
    ("kafka", "codec"): st.one_of(
        st.sampled_from(["json", "plain", "line", "json_lines", "avro"]),
        st.tuples(
            st.sampled_from(["json", "plain", "line", "json_lines"]),
            st.sampled_from(["target", "charset", "delimiter", "format", "nonsense"]),
            QUOTED,
        ).map(lambda parts: f"{parts[0]} {{ {parts[1]} => {parts[2]} }}"),
    ),
    ("python", "function"): st.just('"mine"'),
    ("python", "tag_on_exception"): QUOTED,
    ("translate", "source"): QUOTED,
    ("xml", "xpath"): st.just('{ "/a/text()" => "b" }'),
    ("xml", "target"): QUOTED,
    ("fingerprint", "method"): st.sampled_from(['"MD5"', '"SHA256"', '"MURMUR3"', '"PUNCTUATION"']),
}  # fmt: skip


def _enrich(event: dict[str, Any]) -> Any:
    """Do one of all that a function of the user's may do, by what the event holds."""
    match len(str(event)) % 6:
        case 0:
            return None
        case 1:
            return [event, {"part": 2}]
        case 2:
            raise RuntimeError("no")
        case 3:
            return 5
        case 4:
            return []
    return {**event, "seen": True}


def _value(plugin: str, name: str, option: Option | None) -> st.SearchStrategy[str]:
    if option is None:
        return VALUES
    fitting = USEFUL.get((plugin, name))
    if fitting is None and option.choices:
        fitting = st.sampled_from([f'"{text}"' for text in option.choices])
    elif fitting is None:
        fitting = OF_KIND[option.kind]
    return st.one_of(fitting, fitting, fitting, fitting, fitting, fitting, VALUES)


def _attribute(plugin: str, name: str, option: Option | None) -> st.SearchStrategy[str]:
    return _value(plugin, name, option).map(lambda value: f"{name} => {value}")


def _plugin(plugin: str, table: dict[str, Option]) -> st.SearchStrategy[str]:
    names = sorted(table)
    usual = {"grok": ["match"], "translate": ["source"], "xml": ["source", "target"]}.get(
        plugin, [name for name in names if table[name].required]
    )
    required = st.tuples(*(_attribute(plugin, name, table[name]) for name in usual))
    others = st.lists(
        st.sampled_from([*names, *names, "nonsense"]).flatmap(
            lambda name: _attribute(plugin, name, table.get(name))
        ),
        max_size=3,
    )
    return st.tuples(required, others).map(
        lambda parts: f"{plugin} {{\n" + "\n".join([*parts[0], *parts[1]]) + "\n}"
    )


# Refused options end a compilation early, and say nothing more: one in a table is enough.
FILTER = st.one_of(
    *(
        _plugin(name, {**COMMON, **{n: o for n, o in module.OPTIONS.items() if o.status != "refused"}})
        for name, module in FILTERS.items()
    ),
    st.sampled_from(sorted(REFUSED)).map(lambda name: f"{name} {{ }}"),
)
INPUT = st.one_of(
    _plugin("kafka", {name: option for name, option in INPUT_OPTIONS.items() if option.status != "refused"}),
    st.just("beats { port => 5044 }"),
)
OUTPUT = st.one_of(
    _plugin("elasticsearch", {name: o for name, o in OUTPUT_OPTIONS.items() if o.status != "refused"}),
    st.just("stdout { codec => rubydebug }"),
    st.just("kafka { topic_id => 'x' }"),
)


def _section(kind: str, plugins: st.SearchStrategy[str], *, most: int) -> st.SearchStrategy[str]:
    branch = st.tuples(CONDITIONS, plugins, st.one_of(st.none(), plugins)).map(
        lambda parts: (
            f"if {parts[0]} {{ {parts[1]} }}" + (f" else {{ {parts[2]} }}" if parts[2] is not None else "")
        )
    )
    statement = plugins if kind == "input" else st.one_of(plugins, plugins, branch)
    return st.lists(statement, max_size=most).map(
        lambda statements: f"{kind} {{\n" + "\n".join(statements) + "\n}\n"
    )


CONFIGURATIONS = st.tuples(
    _section("input", INPUT, most=1), _section("filter", FILTER, most=2), _section("output", OUTPUT, most=2)
).map("".join)
VALUES_OF_RECORDS = st.one_of(
    EVENTS.map(repr),
    st.just('{"message":"a b","a":"1"}'),
    st.binary(max_size=30).map(lambda raw: raw.decode("latin-1")),
)


def _read(text: str, ecs: Any) -> tuple[Pipeline | None, LogstashError | None, list[Finding]]:
    """Give the pipeline or why there is none, and what `check` says."""
    try:
        configuration = parse(text, "x.conf")
    except LogstashError as error:
        return None, error, [finding_of(error)]
    context = Context(ecs=ecs, timeout=0.2, functions={"mine": _enrich})
    findings = cover(configuration, context)
    try:
        return compile_pipeline(configuration, context), None, findings
    except LogstashError as error:
        return None, error, findings


@settings(
    max_examples=3 * settings().max_examples,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
@given(
    CONFIGURATIONS,
    st.sampled_from(["disabled", "v1", "v8"]),
    st.lists(VALUES_OF_RECORDS, min_size=1, max_size=3),
)
def test_any_configuration_runs_or_is_refused_with_its_place(text: str, ecs: Any, records: list[str]) -> None:
    pipeline, refusal, findings = _read(text, ecs)
    missing = [finding for finding in findings if finding.status == "not done"]
    assert all(finding.line >= 1 and finding.column >= 1 and finding.note for finding in missing)
    # `check` and a run agree on whether all of it is done.
    assert (pipeline is None) == bool(missing)
    if refusal is not None:
        assert (refusal.file, refusal.line >= 1, refusal.column >= 1) == ("x.conf", True, True)
        assert refusal.problem
    if pipeline is None:
        return
    assert settings_toml(pipeline, "x.conf")
    for number, record in enumerate(records):
        sample = Sample(record.encode("utf-8", "surrogatepass"), Origin("t", 0, number, 1_705_314_600_123))
        rows = try_sample(pipeline, number, sample).rows
        assert rows
        assert try_sample(pipeline, number, sample).rows == rows
