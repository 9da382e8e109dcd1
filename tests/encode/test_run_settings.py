"""Settings of a run with a Logstash configuration: whose word counts, and what its outputs need."""

from pathlib import Path

import pytest

from pipeline.cli.options import load_run_settings
from pipeline.errors import LogstashError
from pipeline.install.check import remarks
from pipeline.install.roles import elasticsearch_roles
from pipeline.settings import Settings

INPUT = """input { kafka { bootstrap_servers => "k1:9092,k2:9092" topics => ["web", "api"] group_id => "old"
    consumer_threads => 3 auto_offset_reset => "latest" } }"""


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "pipeline.conf"


def run_settings(conf: Path, text: str) -> Settings:
    conf.write_text(text)
    return load_run_settings(None, conf)


def test_inputs_and_outputs_are_settings(conf: Path) -> None:
    output = """output { elasticsearch { hosts => ["es:9200"] user => "u" password => "p"
        index => "web-%{+YYYY.MM.dd}" } }"""
    settings = run_settings(conf, INPUT + output)
    assert settings.kafka.bootstrap_servers == ("k1:9092", "k2:9092")
    assert settings.kafka.topics == ("web", "api")
    assert (settings.kafka.group_id, settings.kafka.start_at, settings.run.workers) == ("old", "latest", 3)
    assert settings.elasticsearch.hosts == ("http://es:9200",)
    assert settings.elasticsearch.password is not None
    assert settings.elasticsearch.password.get_secret_value() == "p"
    assert settings.index.prefix == "web"
    assert settings.filters.file == conf


def test_what_the_settings_say_wins(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGPIPE_KAFKA__TOPIC_PATTERN", "web-.*")
    monkeypatch.setenv("LOGPIPE_ELASTICSEARCH__API_KEY", "a2V5")
    (conf.parent / "logpipe.toml").write_text('[kafka]\ngroup_id = "mine"\n')
    settings = run_settings(conf, INPUT + 'output { elasticsearch { user => "u" password => "p" } }')
    assert (settings.kafka.topic_pattern, settings.kafka.group_id) == ("web-.*", "mine")
    assert settings.elasticsearch.username is None
    assert settings.kafka.bootstrap_servers == ("k1:9092", "k2:9092")


def test_a_pattern_of_topics_stands_alone(conf: Path) -> None:
    settings = run_settings(conf, 'input { kafka { topics_pattern => "web-.*" } }')
    assert (settings.kafka.topics, settings.kafka.topic_pattern) == ((), "web-.*")


def test_what_cannot_be_done_is_refused_with_its_place(conf: Path) -> None:
    with pytest.raises(LogstashError, match=r"pipeline\.conf:1:11: The input `beats` is not supported"):
        run_settings(conf, "input {   beats { port => 5044 } }")
    with pytest.raises(LogstashError, match="does not exist"):
        load_run_settings(None, conf.parent / "other.conf")


OUTPUTS = """output {
    if [level] == "ERROR" { elasticsearch { index => "errors" document_id => "%{id}" action => "%{op}" } }
    else { elasticsearch { index => "app-%{[kubernetes][namespace]}-%{+YYYY.MM.dd}" } }
}"""


def test_roles_and_checks_know_the_indices_of_the_outputs(conf: Path) -> None:
    settings = run_settings(conf, INPUT + OUTPUTS)
    roles = {role.name: role.descriptor.get("indices", []) for role in elasticsearch_roles(settings)}
    written = {
        "names": ["errors", "app-*-*"],
        "privileges": ["index", "auto_configure", "view_index_metadata", "delete"],
    }
    assert written in roles["claude-code-bot-worker"]
    assert {"errors", "app-*-*"} < set(roles["claude-code-bot-reader"][0]["names"])
    told = [f"{one.subject}: {one.detail}" for one in remarks(settings)]
    assert any("errors, app-*-*" in one and "templates of your own" in one for one in told)
    assert any("ids of their own" in one for one in told)


def test_roles_and_checks_are_as_without_where_the_output_is_the_pipelines_own(conf: Path) -> None:
    settings = run_settings(
        conf, INPUT + 'output { elasticsearch { index => "claude-code-bot-%{+YYYY.MM.dd}" } }'
    )
    assert elasticsearch_roles(settings) == elasticsearch_roles(Settings())
    assert remarks(settings) == []
