import json
import time
from pathlib import Path

from typer.testing import CliRunner

from pipeline.cli.app import app

CONF = Path(__file__).parent.parent / "logstash" / "conf"
FILTER = (
    'filter { json { source => "message" remove_field => ["message"] } if [level] == "DEBUG" { drop { } } }\n'
)
runner = CliRunner()


def test_check_says_that_everything_is_done() -> None:
    result = runner.invoke(app, ["logstash", "check", str(CONF / "p03-java-log-lines.conf")])
    assert result.exit_code == 0
    assert "grok" in result.output


def test_check_ends_with_1_where_something_is_not_done(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("filter { throttle { } }\n")
    (tmp_path / "b.conf").write_text("filter { mutate { \n")
    result = runner.invoke(app, ["logstash", "check", str(tmp_path)])
    assert result.exit_code == 1
    assert "a.conf:1:10" in result.output
    assert "b.conf:2" in result.output


def test_check_shows_the_settings_and_the_source() -> None:
    result = runner.invoke(app, ["logstash", "check", str(CONF / "p01-json-and-iso-date.conf"), "--settings"])
    assert 'topics = ["service-logs"]' in result.output
    result = runner.invoke(app, ["logstash", "check", str(CONF / "p01-json-and-iso-date.conf"), "--source"])
    assert "def filters(events, origins, outcomes):" in result.output


def test_test_prints_a_line_of_json_a_document(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(FILTER)
    samples = tmp_path / "s.ndjson"
    samples.write_text('{"level":"INFO"}\n{"value":"{\\"level\\":\\"DEBUG\\"}","topic":"t"}\n')
    options = ["--input", str(samples), "--json", "--ecs", "disabled", "--set", "events.normalise=false"]
    result = runner.invoke(app, ["logstash", "test", str(tmp_path / "a.conf"), *options])
    assert result.exit_code == 0, result.output
    kept, dropped = [json.loads(line) for line in result.output.splitlines()]
    assert kept["document"].pop("@timestamp")
    assert kept == {
        "in": 0,
        "index": None,
        "id": None,
        "action": "index",
        "pipeline": None,
        "document": {"@version": "1", "level": "INFO"},
    }
    assert dropped == {"in": 1, "dropped": True, "by": "drop, line 1"}


def test_test_shows_what_each_filter_changed(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(FILTER)
    (tmp_path / "s.ndjson").write_text('{"level":"INFO"}\n')
    result = runner.invoke(
        app, ["logstash", "test", str(tmp_path / "a.conf"), "--input", str(tmp_path / "s.ndjson")]
    )
    assert "json, line 1" in result.output
    assert '+ level: "INFO"' in result.output


def test_test_holds_documents_against_what_is_expected(tmp_path: Path) -> None:
    name = "p11-drop-and-tags"
    arguments = ["logstash", "test", str(CONF / f"{name}.conf"), "--input", str(CONF / f"{name}.in.ndjson")]
    expect = (CONF / f"{name}.expect.ndjson").read_text()
    (tmp_path / "good").write_text(expect)
    (tmp_path / "bad").write_text(expect.replace('"x"', '"y"'))
    good = runner.invoke(app, [*arguments, "--ecs", "disabled", "--expect", str(tmp_path / "good")])
    bad = runner.invoke(app, [*arguments, "--ecs", "disabled", "--expect", str(tmp_path / "bad")])
    assert good.exit_code == 0, good.output
    assert bad.exit_code == 1
    assert "record 1: tags" in bad.output


def test_what_json_printed_is_met_at_any_other_time(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(
        'input { kafka { topics => ["t"] decorate_events => basic } }\n'
        'filter { uuid { target => "u" } mutate { copy => { "[@metadata][kafka]" => "k" } } }\n'
        'output { elasticsearch { index => "i-%{+YYYY.MM.dd}" } }\n'
    )
    samples = tmp_path / "s.ndjson"
    samples.write_text('first\n{"value":"second","timestamp":"2024-01-15T10:30:00Z"}\n')
    arguments = ["logstash", "test", str(tmp_path / "a.conf"), "--input", str(samples)]
    printed = runner.invoke(app, [*arguments, "--json"]).output
    expected = tmp_path / "expected.ndjson"
    expected.write_text(printed)
    time.sleep(0.002)
    assert runner.invoke(app, [*arguments, "--expect", str(expected)]).exit_code == 0
    for wrong in (
        printed.replace('"message":"first"', '"message":"else"'),
        printed.replace('"offset":0', '"offset":5'),
        printed.replace("i-2024.01.15", "i-2024.01.16"),
    ):
        expected.write_text(wrong)
        assert runner.invoke(app, [*arguments, "--expect", str(expected)]).exit_code == 1


def test_escapes_are_read_where_logstash_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text('filter { mutate { add_field => { "a" => "x\\ty" } } }')
    (tmp_path / "s").write_text("m\n")
    arguments = ["logstash", "test", str(tmp_path / "a.conf"), "--input", str(tmp_path / "s"), "--json"]
    found = [
        json.loads(runner.invoke(app, [*arguments, *options]).output)["document"]["a"]
        for options in ([], ["--support-escapes"], ["--set", "config.support_escapes=true"])
    ]
    assert found == ["x\\ty", "x\ty", "x\ty"]


def test_a_wrong_option_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(FILTER)
    for options in (
        ["--ecs", "v9"],
        ["--set", "x"],
        ["--set", "kafka.topics=a"],
        ["--set", "filters.regex_timeout=0"],
    ):
        result = runner.invoke(app, ["logstash", "test", str(tmp_path / "a.conf"), "--input", "-", *options])
        assert result.exit_code != 0
