"""Whole configurations: from a record to what is done in Elasticsearch, and what is said about them."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import LogstashError
from pipeline.logstash.compiler import Context
from pipeline.logstash.configuration import Pipeline, compile_pipeline, read_configuration
from pipeline.logstash.coverage import Finding, cover
from pipeline.logstash.environment import fill_in
from pipeline.logstash.equivalent import settings_toml
from pipeline.logstash.parse import parse
from pipeline.logstash.plugin import Ecs, Origin
from pipeline.logstash.trial import Sample, differences, read_samples, try_sample

FOLDER = Path(__file__).parent / "conf"
NOW = 1_705_314_600_000


def pipeline_of(text: str, ecs: Ecs = "disabled", environment: dict[str, str] | None = None) -> Pipeline:
    return compile_pipeline(fill_in(parse(text, "a.conf"), environment or {}), Context(ecs=ecs, watched=True))


def rows(pipeline: Pipeline, value: str, **origin: Any) -> list[dict[str, Any]]:
    sample = Sample(value.encode(), Origin(**{"topic": "t", "timestamp_ms": NOW, **origin}))
    return list(try_sample(pipeline, 0, sample).rows)


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.conf")))
def test_a_configuration_gives_the_documents_that_logstash_sends(name: str) -> None:
    path = FOLDER / f"{name}.conf"
    ecs: Any = path.read_text().splitlines()[0].rpartition(" ")[2]
    pipeline = compile_pipeline(read_configuration([path], {}), Context(ecs=ecs, watched=True))
    samples = (FOLDER / f"{name}.in.ndjson").read_bytes().splitlines()
    got = [
        row
        for number, sample in enumerate(read_samples(samples, NOW, "t"))
        for row in try_sample(pipeline, number, sample).rows
    ]
    expected = [json.loads(line) for line in (FOLDER / f"{name}.expect.ndjson").read_text().splitlines()]
    for number in {row["in"] for row in [*expected, *got]}:
        wanted = [row for row in expected if row["in"] == number]
        assert differences(wanted, [row for row in got if row["in"] == number]) == []
    assert {row["in"] for row in expected} == {row["in"] for row in got}


def test_events_go_where_the_outputs_send_them() -> None:
    pipeline = pipeline_of(
        """input { kafka { topics => ["t"] codec => json decorate_events => extended type => "x" tags => ["in"] } }
        output {
          if [a] > 5 {
            elasticsearch { index => "big-%{[@metadata][kafka][topic]}" document_id => "%{a}" pipeline => "p" }
          }
          else if [b] { elasticsearch { index => "%{missing}" } }
          stdout { }
        }"""
    )
    (row,) = rows(pipeline, '{"a":7}')
    assert (row["index"], row["id"], row["pipeline"], row["action"]) == ("big-t", "7", "p", "index")
    assert row["document"]["type"] == "x"
    assert row["document"]["tags"] == ["in"]
    assert "@metadata" not in row["document"]
    assert rows(pipeline, '{"a":1,"b":1}')[0]["dead_letter"] is True
    assert rows(pipeline, '{"a":1}') == [{"in": 0, "dropped": True, "by": "no output takes it"}]
    assert rows(pipeline, " ")[0]["dropped"] is True


@pytest.mark.parametrize(
    ("codec", "value", "messages"),
    [
        ("line", b"a\r\n\nb\nc", ["a\r", "b", "c"]),
        ('line { delimiter => ";" }', b"a;b;", ["a", "b"]),
        ("json_lines", b'{"message":"a"}\n[{"message":"b"},{"message":"c"}]\nd', ["a", "b", "c", "d"]),
        ('plain { charset => "ISO-8859-1" }', b"caf\xe9", ["caf\xe9"]),
        ('plain { charset => "CP1252" }', b"\x80", ["\u20ac"]),
        ("plain", b"caf\xe9", ["caf\ufffd"]),
    ],
)
def test_a_record_is_read_as_its_codec_says(codec: str, value: bytes, messages: list[str]) -> None:
    pipeline = pipeline_of(f'input {{ kafka {{ topics => ["t"] codec => {codec} }} }}')
    found = try_sample(pipeline, 0, Sample(value, Origin("t"))).rows
    assert [row["document"]["message"] for row in found] == messages


def test_a_constant_that_has_no_place_in_an_event_tags_it() -> None:
    pipeline = pipeline_of('input { kafka { codec => json add_field => { "[a][b]" => "x" "c" => "y" } } }')
    (row,) = rows(pipeline, '{"a":"text"}')
    assert (row["document"]["a"], row["document"]["c"], row["document"]["tags"]) == (
        "text",
        "y",
        ["_filterexception"],
    )


@pytest.mark.parametrize(
    "options", ['add_field => { "[" => "x" }', 'add_field => { "a" => "%{+QQ}" }', 'tags => ["%{+QQ}"]']
)
def test_a_constant_that_is_none_for_any_event_is_refused(options: str) -> None:
    with pytest.raises(LogstashError) as caught:
        pipeline_of(f"input {{ kafka {{ {options} }} }}")
    assert (caught.value.line, caught.value.column) == (1, 17)


def test_the_target_of_a_codec_that_is_no_field_is_refused() -> None:
    with pytest.raises(LogstashError, match=r"a\.conf:1:33: .*no field reference"):
        pipeline_of('input { kafka { codec => json { target => "[" } } }')


@pytest.mark.parametrize("charset", ["rot13", "nothing", "hex"])
def test_a_character_set_that_is_none_is_refused(charset: str) -> None:
    with pytest.raises(LogstashError, match="is not known"):
        pipeline_of(f'input {{ kafka {{ codec => plain {{ charset => "{charset}" }} }} }}')


def test_the_record_is_described_in_metadata() -> None:
    pipeline = pipeline_of(
        """input { kafka { topics => ["t"] decorate_events => extended } }
        filter { mutate { copy => { "[@metadata][kafka]" => "k" } } }"""
    )
    (row,) = rows(pipeline, "x", partition=3, offset=9, key=b"key", headers=(("h", b"v"), ("bad", b"\xff")))
    assert row["document"]["k"] == {
        "topic": "t",
        "consumer_group": "logstash",
        "partition": 3,
        "offset": 9,
        "timestamp": NOW,
        "key": "key",
        "headers": {"h": "v"},
    }


@pytest.mark.parametrize(
    ("ecs", "index"),
    [("disabled", "logstash-2024.01.15"), ("v8", "logs-generic-default")],
)
def test_without_an_index_events_go_where_logstash_sends_them(ecs: Ecs, index: str) -> None:
    pipeline = pipeline_of("output { elasticsearch { } }", ecs)
    assert rows(pipeline, "x")[0]["index"] == index


def test_a_data_stream_takes_its_name_from_the_event() -> None:
    pipeline = pipeline_of(
        'input { kafka { codec => json topics => ["t"] } } output { elasticsearch { data_stream => true } }'
    )
    (row,) = rows(pipeline, '{"data_stream":{"dataset":"shop"}}')
    assert (row["index"], row["action"]) == ("logs-shop-default", "create")
    assert row["document"]["data_stream"] == {"type": "logs", "dataset": "shop", "namespace": "default"}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("input { beats { port => 5044 } }", "Let Filebeat write to Kafka"),
        ('input { kafka { codec => "avro" } }', "`avro` is not supported"),
        ("output { redis { } }", "`redis` is not supported"),
        ('output { elasticsearch { script => "x" } }', "ingest pipeline"),
        ('input { kafka { topics_pattern => "(" } }', "no regular expression"),
        ('filter { mutate { add_field => { "a" => "${NOT_SET}" } } }', "`NOT_SET` is not set"),
        ("filter { <% for x in y %> }", "render it first"),
    ],
)
def test_what_is_no_part_of_this_is_refused_by_name(text: str, part: str) -> None:
    with pytest.raises(LogstashError) as caught:
        pipeline_of(text)
    assert part in str(caught.value)


def test_variables_are_filled_in_everywhere() -> None:
    text = 'filter { if [a] == "${A}" { mutate { add_field => { "b" => "${B:none}-${A}" } } } }'
    pipeline = pipeline_of("input { kafka { codec => json } } " + text, environment={"A": "x"})
    assert rows(pipeline, '{"a":"x"}')[0]["document"]["b"] == "none-x"


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "20.conf").write_text('filter { mutate { add_tag => ["second"] } }')
    (tmp_path / "10.conf").write_text('filter { mutate { add_tag => ["first"] } }')
    (tmp_path / "notes.txt").write_text("nothing of Logstash's")
    pipeline = compile_pipeline(read_configuration([tmp_path], {}), Context())
    assert rows(pipeline, "x")[0]["document"]["tags"] == ["first", "second"]
    with pytest.raises(LogstashError, match="does not exist"):
        read_configuration([tmp_path / "none"], {})


CONFIGURATION = """
input { kafka { bootstrap_servers => "a:9092,b:9092" topics => ["x", "y"] group_id => "g" consumer_threads => 4
                auto_offset_reset => "earliest" poll_timeout_ms => 100 } }
filter {
  grok { match => { "message" => "%{WORD:w}" } timeout_millis => 500 }
  if [a] =~ /(?~x)/ { mutate { nonsense => 1 } }
  aggregate { task_id => "%{t}" }
  ruby { code => "system('ls')" }
}
output { elasticsearch { hosts => ["es"] index => "logs-%{+YYYY.MM.dd}" user => "u" password => "secret" } stdout { } }
"""


def test_the_report_names_each_thing_that_is_not_done() -> None:
    findings = cover(parse(CONFIGURATION, "a.conf"), Context())
    missing = {
        (finding.plugin, finding.option, finding.line) for finding in findings if finding.status == "not done"
    }
    assert missing == {("mutate", "nonsense", 6), ("if", "", 6), ("aggregate", "", 7), ("ruby", "", 8)}
    assert _one(findings, "grok", "timeout_millis").status == "differs"
    assert _one(findings, "kafka", "poll_timeout_ms").status == "ignored"
    assert _one(findings, "elasticsearch", "index").status == "done"
    assert _one(findings, "stdout", "").status == "ignored"


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (
            """sasl_jaas_config => "a.scram.ScramLoginModule required username='u' password='p;=x';" """,
            {"kafka.sasl_username": "u", "kafka.sasl_password": "p;=x"},
        ),
        (
            """sasl_jaas_config => 'a.plain.PlainLoginModule required username="u" password="";' """,
            {"kafka.sasl_username": "u", "kafka.sasl_password": ""},
        ),
        (
            (
                'ssl_truststore_type => "PEM" ssl_truststore_location => "/ca.pem" '
                'ssl_keystore_type => "pem" ssl_keystore_location => "/c.pem"'
            ),
            {"kafka.ca_certs": "/ca.pem", "kafka.client_cert": "/c.pem"},
        ),
        ('ssl_truststore_location => "/ca.jks"', {}),
    ],
)  # fmt: skip
def test_credentials_and_certificates_become_settings(options: str, found: dict[str, str]) -> None:
    (known,) = pipeline_of(f"input {{ kafka {{ {options} }} }}").inputs
    assert known.settings == found
    text = settings_toml(pipeline_of(f"input {{ kafka {{ {options} }} }}"), "a.conf")
    assert "p;=x" not in text
    assert ("LOGPIPE_KAFKA__SASL_PASSWORD" in text) == ("kafka.sasl_password" in found)


@pytest.mark.parametrize(
    "text",
    ["com.sun.security.auth.module.Krb5LoginModule required;", "PlainLoginModule required username='u';"],
)
def test_a_login_that_is_none_of_ours_is_refused(text: str) -> None:
    with pytest.raises(LogstashError, match="sasl_jaas_config"):
        pipeline_of(f'input {{ kafka {{ sasl_jaas_config => "{text}" }} }}')


def _one(findings: list[Finding], plugin: str, option: str) -> Finding:
    (found,) = [finding for finding in findings if finding.plugin == plugin and finding.option == option]
    return found


def test_the_settings_are_those_of_the_inputs_and_outputs() -> None:
    inputs, outputs = (
        CONFIGURATION.split("filter {", maxsplit=1)[0],
        "output" + CONFIGURATION.split("output")[1],
    )
    text = settings_toml(pipeline_of(inputs + outputs), "a.conf")
    assert tomllib.loads(text) == {
        "kafka": {
            "bootstrap_servers": ["a:9092", "b:9092"],
            "topics": ["x", "y"],
            "group_id": "g",
            "start_at": "earliest",
        },
        "run": {"workers": 4},
        "elasticsearch": {"hosts": ["http://es:9200"], "username": "u"},
        "index": {"prefix": "logs"},
        "filters": {"file": "a.conf", "ecs_compatibility": "disabled"},
    }
    assert "secret" not in text
    assert "LOGPIPE_ELASTICSEARCH__PASSWORD" in text
