"""Settings of TLS, SASL and secrets: what goes together, where secrets come from, that none is shown."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import Settings, load_settings

SASL = {"sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "S3CRET"}


@pytest.fixture(autouse=True)
def _empty_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "kafka",
    [
        {},
        {"security_protocol": "SSL"},
        {"security_protocol": "SSL", "ca_certs": "a", "client_cert": "b", "client_key": "c"},
        {"security_protocol": "SSL", "client_cert": "both.pem"},
        {"security_protocol": "SASL_PLAINTEXT", **SASL},
        {"security_protocol": "SASL_SSL", **SASL, "ca_certs": "a"},
    ],
)
def test_consistent(kafka: dict[str, Any]) -> None:
    assert load_settings(overrides={"kafka": kafka})


@pytest.mark.parametrize(
    ("kafka", "words"),
    [
        ({"security_protocol": "TLS"}, ["kafka.security_protocol", "TLS", "SASL_SSL"]),
        (
            {"security_protocol": "SASL_SSL"},
            ["kafka", "SASL_SSL", "sasl_mechanism, sasl_username, sasl_password"],
        ),
        ({"security_protocol": "SASL_SSL", **SASL, "sasl_password": None}, ["SASL_SSL", "sasl_password"]),
        ({"security_protocol": "SASL_SSL", **SASL, "sasl_password": ""}, ["kafka.sasl_password"]),
        ({"security_protocol": "SASL_SSL", **SASL, "sasl_mechanism": "GSSAPI"}, ["sasl_mechanism", "SCRAM"]),
        (SASL, ["sasl_mechanism, sasl_username, sasl_password", "PLAINTEXT"]),
        ({"security_protocol": "SSL", "sasl_password": "S3CRET"}, ["sasl_password", "it is SSL"]),
        ({"ca_certs": "a"}, ["ca_certs", "it is PLAINTEXT"]),
        ({"security_protocol": "SASL_PLAINTEXT", **SASL, "client_cert": "a"}, ["client_cert", "SASL_SSL"]),
        ({"security_protocol": "SSL", "client_key": "a"}, ["client_key", "client_cert"]),
        ({"bootstrap_servers": ["u:S3CRET@host:9092"]}, ["kafka.bootstrap_servers", "sasl_password"]),
    ],
)
def test_inconsistent_is_refused_by_name(kafka: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(overrides={"kafka": kafka})
    for word in words:
        assert word in str(caught.value)
    assert "S3CRET" not in str(caught.value)


def test_hosts_are_of_one_scheme() -> None:
    with pytest.raises(SettingsError, match="some are http and some are https"):
        load_settings(overrides={"elasticsearch": {"hosts": "https://a:1,http://b:1"}})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("logpipe_kafka__sasl_password", "S3CRET"),
        ("LOGPIPE_KAFKA__SASL_PASSWORD", "S3CRET\n"),
        ("kafka.sasl_password", "S3CRET\n"),
        ("kafka__sasl_password", "S3CRET"),
        ("logpipe_kafka", '{"sasl_password": "S3CRET"}'),
    ],
)
def test_secret_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    # What Kubernetes and Docker put beside it.
    (tmp_path / "..data").mkdir()
    (tmp_path / "db_password").write_text("not ours")
    (tmp_path / "logpipe_ca.pem").write_text("not a setting")
    settings = with_secrets(tmp_path, monkeypatch)
    assert settings.kafka.sasl_password is not None
    assert settings.kafka.sasl_password.get_secret_value() == "S3CRET"
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert "S3CRET" not in shown


def with_secrets(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LOGPIPE_SECRETS_DIR", str(directory))
    others = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "u"}
    return load_settings(overrides={"kafka": others})


def test_one_value_wins_over_its_group_and_a_variable_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logpipe_kafka").write_text('{"sasl_password": "group", "client_id": "group"}')
    (tmp_path / "kafka.sasl_password").write_text("one")
    settings = with_secrets(tmp_path, monkeypatch)
    assert settings.kafka.sasl_password is not None
    assert (settings.kafka.sasl_password.get_secret_value(), settings.kafka.client_id) == ("one", "group")
    monkeypatch.setenv("LOGPIPE_KAFKA__SASL_PASSWORD", "variable")
    settings = with_secrets(tmp_path, monkeypatch)
    assert settings.kafka.sasl_password is not None
    assert settings.kafka.sasl_password.get_secret_value() == "variable"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("kafka.sasl_pasword", b"S3CRET", ["kafka.sasl_pasword", "no such setting"]),
        ("logpipe_kafkaa__sasl_password", b"S3CRET", ["logpipe_kafkaa__sasl_password", "kafkaa"]),
        ("logpipe_kafka", b"S3CRET", ["logpipe_kafka", "JSON", "logpipe_kafka__password"]),
        ("logpipe_kafka", b'"S3CRET"', ["logpipe_kafka", "JSON"]),
        ("kafka.sasl_password", b"\xffS3CRET", ["kafka.sasl_password", "UTF-8"]),
        ("kafka.client_key", b"-----BEGIN PRIVATE KEY-----\nS3CRET", ["kafka.client_key", "path"]),
    ],
)
def test_wrong_secret_file_is_refused_without_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, words: list[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        with_secrets(tmp_path, monkeypatch)
    for word in words:
        assert word in str(caught.value)
    assert "S3CRET" not in str(caught.value)


def test_missing_directory_of_secrets_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="LOGPIPE_SECRETS_DIR"):
        with_secrets(tmp_path / "none", monkeypatch)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LOGPIPE_ELASTICSEARCH__HOSTS", "https://u:S3CRET@host:9200"),
        ("LOGPIPE_ELASTICSEARCH__HOSTS", "https://u:S3CRET/x@host"),
        ("LOGPIPE_ELASTICSEARCH__PASSWORD", "S3CRET"),
        ("LOGPIPE_ELASTICSEARCH__PASWORD", "S3CRET"),
        ("LOGPIPE_ELASTICSEARCH", "S3CRET"),
        ("LOGPIPE_ELASTICSEARCH", '"S3CRET"'),
        ("LOGPIPE_ELASTICSEARCH", '{"password": "S3CRET"'),
        ("LOGPIPE_ELASTIC__PASSWORD", "S3CRET"),
        ("LOGPIPE_KAFKA__SASL_PASSWORD", "S3CRET"),
        ("LOGPIPE_KAFKA__CLIENT_KEY", "-----BEGIN PRIVATE KEY-----S3CRET"),
    ],
)
def test_wrong_variable_is_refused_without_its_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "S3CRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "elasticsearch:\n  username: u\n  password: !S3CRET\n"),
        ("a.yaml", "elasticsearch:\n  username: u\n  password: *S3CRET\n"),
        ("a.yaml", 'elasticsearch:\n  password: "S3CRET\n'),
        ("a.yaml", "elasticsearch: S3CRET\n"),
        ("a.toml", '[elasticsearch]\npassword = "S3CRET\n'),
        ("a.toml", "[elasticsearch]\npassword = S3CRET\n"),
        ("a.toml", 'elasticsearch = "S3CRET"\n'),
        ("a.toml", '[elasticsearch.password]\nvalue = "S3CRET"\n'),
    ],
)
def test_wrong_file_is_refused_without_its_content(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path / name)
    assert "S3CRET" not in str(caught.value)
