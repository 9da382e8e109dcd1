"""Where settings come from, what a wrong one is told, and sizes and times with units."""

import json
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import load_settings
from pipeline.settings.loading import settings_origins
from pipeline.settings.units import read_quantity
from tests.logpipe import logpipe

TOML = """\
# a comment
[kafka]
topics = [
  "a",
  "b",
]
client_id = '''
group_id = "no key"
'''
group_id = "g"

[elasticsearch]
api_key = "s3cret"
bulk_max_bytes = "4 MiB"

[inputs."syslog-*"]
service = "s"
"""
YAML = """\
kafka:
  topics: [a, b]
  group_id: g
elasticsearch: {bulk_max_bytes: 4 MiB}
"""


@pytest.fixture(autouse=True)
def _empty_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        (
            "a.toml",
            TOML,
            {"kafka.topics": 3, "kafka.group_id": 10, "elasticsearch.bulk_max_bytes": 14, "http.port": None},
        ),
        ("a.toml", 'kafka.topics = ["a"]', {"kafka.topics": 1}),
        ("a.toml", 'kafka = { topics = ["a"] }', {"kafka.topics": 1, "kafka.group_id": None}),
        ("a.yaml", YAML, {"kafka.topics": 2, "kafka.group_id": 3, "elasticsearch.bulk_max_bytes": 4}),
    ],
)
def test_the_line_of_a_setting_is_found(
    tmp_path: Path, name: str, text: str, lines: dict[str, int | None]
) -> None:
    file = write(tmp_path / name, text)
    origins = settings_origins(file)
    for setting, line in lines.items():
        assert origins.of(setting.split(".")) == (None if line is None else f"{file}, line {line}"), setting


def test_variables_and_secret_files_win_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "a.toml", TOML)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    key = write(secrets / "elasticsearch.api_key", "k")
    monkeypatch.setenv("LOGPIPE_SECRETS_DIR", str(secrets))
    monkeypatch.setenv("LOGPIPE_KAFKA__GROUP_ID", "other")
    origins = settings_origins(file)
    assert origins.of(("kafka", "group_id")) == "variable LOGPIPE_KAFKA__GROUP_ID"
    assert origins.of(("elasticsearch", "api_key")) == f"secret file {key}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[kafka]\n\ntopcis = ['a']\n", "did you mean kafka.topics? "),
        ("[kafka]\n\nhosts = ['http://a:1']\n", "did you mean elasticsearch.hosts? "),
        ("[http]\n\nport = 'x'\n", "http.port = 'x'"),
        ("[elasticsearch]\n\nbulk_max_bytes = '2 parsecs'\n", "as in '2 MiB'"),
    ],
)
def test_a_wrong_setting_is_told_with_its_line_and_what_was_meant(
    tmp_path: Path, text: str, told: str
) -> None:
    file = write(tmp_path / "a.toml", text)
    with pytest.raises(SettingsError) as refused:
        load_settings(file)
    assert told in str(refused.value)
    assert str(refused.value).endswith(f"[{file}, line 3]")


def test_a_wrong_variable_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGPIPE_HTTP__PORT", "x")
    with pytest.raises(SettingsError, match=r"http\.port = 'x'.*\[variable LOGPIPE_HTTP__PORT\]"):
        load_settings()
    with pytest.raises(SettingsError, match=r"http\.port = 'y'[^\[]*$"):
        load_settings(overrides={"http": {"port": "y"}})
    monkeypatch.setenv("LOGPIPE_KAFAK__TOPICS", "x")
    with pytest.raises(SettingsError, match="did you mean LOGPIPE_KAFKA"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("bulk_max_bytes", "2 MiB", 2 << 20),
        ("bulk_max_bytes", "1.5kB", 1500),
        ("bulk_max_bytes", "2097152", "2097152"),
        ("flush_interval_seconds", "500 ms", 0.5),
        ("timeout_seconds", "5 min", 300),
        ("idle_seconds", "1h", 3600),
        ("retention_days", "2 w", 14),
        ("topics", "2 MiB", "2 MiB"),
        ("bulk_max_bytes", 7, 7),
    ],
)
def test_units(name: str, value: object, read: object) -> None:
    assert read_quantity(name, value) == read


def test_units_count_in_files_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "a.toml", '[elasticsearch]\nbulk_max_bytes = "4 MiB"\n')
    monkeypatch.setenv("LOGPIPE_ELASTICSEARCH__FLUSH_INTERVAL_SECONDS", "250ms")
    settings = load_settings(file).elasticsearch
    assert (settings.bulk_max_bytes, settings.flush_interval_seconds) == (4 << 20, 0.25)


@pytest.mark.server
def test_show_tells_values_and_places_and_no_secret(tmp_path: Path) -> None:
    file = write(tmp_path / "a.toml", TOML)
    result = logpipe("config", "show", "--json", "-c", str(file), settings={"LOGPIPE_HTTP__PORT": "7"})
    assert result.returncode == 0, result.stderr.decode()
    assert "s3cret" not in result.stdout.decode()
    shown = json.loads(result.stdout)
    assert shown["http.port"] == {"value": 7, "from": "variable LOGPIPE_HTTP__PORT"}
    assert shown["kafka.topics"] == {"value": ["a", "b"], "from": f"{file}, line 3"}
    assert shown["kafka.client_cert"] == {"value": None, "from": "default"}
    assert shown["elasticsearch.api_key"]["from"] == f"{file}, line 13"
    assert shown['inputs."syslog-*".service']["value"] == "s"
    changed = logpipe("config", "show", "--changed", "-c", str(file)).stdout.decode()
    assert len(changed.splitlines()) == 1 + 6, changed
    assert "(4.0 MiB)" in changed
    assert "s3cret" not in changed


@pytest.mark.server
def test_check_offline_reads_what_the_settings_name_and_contacts_nobody(tmp_path: Path) -> None:
    away = {
        "LOGPIPE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "LOGPIPE_ELASTICSEARCH__HOSTS": "http://127.0.0.1:1",
    }
    result = logpipe("config", "check", "--offline", settings=away)
    assert result.returncode == 0, result.stderr.decode()
    rules = write(tmp_path / "rules.toml", "[[rules]]\nname = 1\n")
    refused = logpipe("config", "check", "--offline", settings={"LOGPIPE_METRICS__RULES_FILE": str(rules)})
    assert refused.returncode == 2
    assert str(rules) in refused.stderr.decode()
