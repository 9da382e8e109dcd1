"""Settings: where they come from, and how a wrong one is refused."""

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import load_settings


@pytest.fixture(autouse=True)
def _empty_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_defaults_need_no_file() -> None:
    assert load_settings().kafka.topics == ("claude-code-bot.logs",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", '[kafka]\ngroup_id = "g"\ntopics = ["x", "y"]\n'),
        ("a.yaml", "kafka:\n  group_id: g\n  topics: [x, y]\n"),
        ("a.yml", "kafka: {group_id: g, topics: 'x,y'}\n"),
    ],
)
def test_file(tmp_path: Path, name: str, text: str) -> None:
    settings = load_settings(write(tmp_path / name, text))
    assert (settings.kafka.group_id, settings.kafka.topics) == ("g", ("x", "y"))


def test_file_of_the_working_directory_and_of_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "logpipe.toml", '[kafka]\ngroup_id = "here"\n')
    assert load_settings().kafka.group_id == "here"
    named = write(tmp_path / "other.toml", '[kafka]\ngroup_id = "named"\n')
    monkeypatch.setenv("LOGPIPE_CONFIG", str(named))
    assert load_settings().kafka.group_id == "named"


def test_variable_wins_over_file_and_option_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "a.toml", '[kafka]\ngroup_id = "file"\nclient_id = "file"\n[http]\nport = 1\n')
    monkeypatch.setenv("LOGPIPE_KAFKA__GROUP_ID", "variable")
    monkeypatch.setenv("LOGPIPE_HTTP__PORT", "2")
    settings = load_settings(file, {"http": {"port": 3}})
    assert (settings.kafka.client_id, settings.kafka.group_id, settings.http.port) == ("file", "variable", 3)


def test_secret_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "logpipe_elasticsearch", '{"api_key": "k3y"}')
    monkeypatch.setenv("LOGPIPE_SECRETS_DIR", str(tmp_path))
    settings = load_settings()
    assert settings.elasticsearch.api_key is not None
    assert settings.elasticsearch.api_key.get_secret_value() == "k3y"
    assert "k3y" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("LOGPIPE_HTTP__PORT", "99999", ["http.port", "99999", "65535"]),
        ("LOGPIPE_HTTP__PORT", "many", ["http.port", "many", "integer"]),
        ("LOGPIPE_INDEX__ROLL", "weekly", ["index.roll", "weekly", "day", "ilm"]),
        ("LOGPIPE_INDEX__PREFIX", "Upper", ["index.prefix", "Upper", "lower-case"]),
        ("LOGPIPE_KAFKA__BOOTSTRAP_SERVERS", "nohost", ["kafka.bootstrap_servers", "nohost", "host:port"]),
        ("LOGPIPE_KAFKA__TOPICS", "a/b", ["kafka.topics", "a/b", "topic name"]),
        ("LOGPIPE_KAFKA__TOPIC_PATTERN", "(", ["kafka.topic_pattern", "(", "regular expression"]),
        ("LOGPIPE_ELASTICSEARCH__HOSTS", "es:9200", ["elasticsearch.hosts", "es:9200", "http(s)://"]),
        (
            "LOGPIPE_EVENTS__DEFAULT_TIMEZONE",
            "Mars/Base",
            ["events.default_timezone", "Mars/Base", "Europe/Berlin"],
        ),
        ("LOGPIPE_OTLP__ENDPOINT", "collector:4318", ["otlp.endpoint", "collector:4318", "http(s)://"]),
        ("LOGPIPE_OTLP__ENDPOINT", "http://c:4318/v1/traces", ["otlp.endpoint", "/v1/traces", "leave"]),
        ("LOGPIPE_OTLP__SAMPLE_RATIO", "5", ["otlp.sample_ratio", "5", "less than or equal to 1"]),
        ("LOGPIPE_OTLP__MAX_LINKS", "129", ["otlp.max_links", "129", "128"]),
        ("LOGPIPE_OTLP__HEADERS", "a=1,authorization", ["otlp.headers", "header 2", "name=value"]),
        (
            "LOGPIPE_TRACES__ENDPOINT",
            "http://c:4318",
            ["LOGPIPE_TRACES__ENDPOINT", "[otlp]", "LOGPIPE_OTLP__"],
        ),
        ("LOGPIPE_KAFKA__TOPIX", "a", ["kafka.topix", "no such setting", "topics"]),
        ("LOGPIPE_KAFKAA__TOPICS", "a", ["LOGPIPE_KAFKAA__TOPICS", "no such setting", "kafka"]),
        ("LOGPIPE_SHUTDOWN__TIMEOUT_SECONDS", "-1", ["shutdown.timeout_seconds", "-1", "greater than 0"]),
    ],
)
def test_wrong_variable_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: list[str]
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("a.toml", "[kafka\n", "a.toml"),
        ("a.yaml", "kafka: [\n", "a.yaml"),
        ("a.toml", "[nonsense]\n", "nonsense"),
        ("a.toml", "[kafka]\ntopics = []\n", "topic_pattern"),
        ("a.toml", '[kafka]\ntopics = ["a"]\ntopic_pattern = "b"\n', "not both"),
        ("a.ini", "", "neither"),
        (
            "a.toml",
            '[traces]\nendpoint = "http://c:4318"\n',
            r"traces\.endpoint: .* now in the group \[otlp\]",
        ),
        ("a.toml", "[traces]\nmax_opened = 1\n", r"traces\.max_opened: there is no such setting; .*max_open"),
    ],
)
def test_wrong_file_is_refused(tmp_path: Path, name: str, text: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        load_settings(write(tmp_path / name, text))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(tmp_path / "none.toml")


def test_every_wrong_setting_is_named_at_once(tmp_path: Path) -> None:
    file = write(tmp_path / "a.toml", '[http]\nport = -1\n[index]\nroll = "x"\n')
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    assert "http.port" in str(caught.value)
    assert "index.roll" in str(caught.value)


def test_secrets_are_in_no_refusal(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.toml", '[elasticsearch]\npassword = ["s3cret"]\nusername = "u"\napi_key = "s3cret"\n'
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    assert "s3cret" not in str(caught.value)
    file = write(
        tmp_path / "b.toml", '[elasticsearch]\npassword = "s3cret"\nusername = "u"\napi_key = "s3cret"\n'
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    assert "s3cret" not in str(caught.value)


def test_a_secret_file_of_a_moved_setting_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "traces.headers", "authorization=s3cret")
    monkeypatch.setenv("LOGPIPE_SECRETS_DIR", str(tmp_path))
    with pytest.raises(SettingsError, match=r"now in the group \[otlp\]") as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)


def test_an_api_key_as_id_and_key_is_refused_with_the_form_it_has_to_have() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(overrides={"elasticsearch": {"api_key": "VuaCfGcBCdbkQm:ui2lp2axTNmsyakw9tvNnw"}})
    assert "elasticsearch.api_key: this is id:key" in str(refused.value)
    assert "base64" in str(refused.value)
    assert "ui2lp" not in str(refused.value)
