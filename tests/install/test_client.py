"""The client is made by the settings, and tells its mistakes by their names."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from pipeline.bulk.client import make_client, server_errors
from pipeline.errors import ServerRefused, ServerUnavailable, SettingsError
from pipeline.install.check import check_servers
from pipeline.settings import Elasticsearch, load_settings
from tests.install.status_server import status_server


def settings_of(**values: Any) -> Elasticsearch:
    return Elasticsearch.model_validate(values)


@pytest.mark.parametrize(
    ("values", "header"),
    [
        ({}, None),
        ({"api_key": "abc"}, "ApiKey abc"),
        ({"username": "u", "password": "p"}, "Basic dTpw"),
    ],
)
async def test_credentials_are_sent(values: dict[str, str], header: str | None) -> None:
    async with make_client(settings_of(**values)) as client:
        assert client._headers.get("authorization") == header  # noqa: SLF001 - no other way to see it


async def test_every_host_is_a_node() -> None:
    hosts = ["http://127.0.0.1:1", "http://127.0.0.1:2"]
    async with make_client(settings_of(hosts=hosts)) as client:
        assert {node.base_url for node in client.transport.node_pool.all()} == set(hosts)


async def test_nothing_is_sent_twice_by_the_client_itself() -> None:
    async with status_server(503, {"error": "no master"}) as (url, requests):
        settings = settings_of(hosts=[url])
        async with make_client(settings) as client:
            with (
                pytest.raises(ServerUnavailable, match=r"cannot look now \(HTTP 503\): no master"),
                server_errors(settings, "look"),
            ):
                await client.cluster.health()
    assert requests == ["GET /_cluster/health"]


async def test_nobody_listening_is_unavailable_and_named() -> None:
    settings = settings_of(hosts=["http://127.0.0.1:1"])
    async with make_client(settings) as client:
        with (
            pytest.raises(ServerUnavailable, match=r"http://127\.0\.0\.1:1 \(elasticsearch\.hosts\)"),
            server_errors(settings, "anything"),
        ):
            await client.cluster.health()


def test_a_missing_certificate_file_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"elasticsearch\.ca_certs = .*no such file"):
        make_client(settings_of(hosts=["https://127.0.0.1:1"], ca_certs=tmp_path / "missing.pem"))


def test_a_file_without_certificates_is_a_wrong_setting(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("not a certificate")
    with pytest.raises(SettingsError, match=r"elasticsearch\.ca_certs"):
        make_client(settings_of(hosts=["https://127.0.0.1:1"], ca_certs=file))


def test_a_certificate_file_without_https_is_a_wrong_setting(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("")
    with pytest.raises(SettingsError, match="for https hosts"):
        make_client(settings_of(hosts=["http://127.0.0.1:1"], ca_certs=file))


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({}, "set elasticsearch.api_key, or elasticsearch.username and elasticsearch.password"),
        ({"username": "u", "password": "p"}, "are elasticsearch.username and elasticsearch.password right?"),
        ({"api_key": b64encode(b"id:s3cret").decode()}, "is elasticsearch.api_key a key of this cluster"),
        ({"api_key": b64encode(b"s3cret").decode()}, "does not look like the base64 of id:key"),
        ({"api_key": "s3cret"}, "does not look like the base64 of id:key"),
    ],
)
async def test_a_401_says_what_to_look_at_in_the_credentials(values: dict[str, str], hint: str) -> None:
    async with status_server(401, {"error": {"type": "security_exception", "reason": "no"}}) as (url, _):
        settings = load_settings(
            overrides={
                "kafka": {"bootstrap_servers": "127.0.0.1:9"},
                "elasticsearch": {"hosts": url, **values},
            }
        )
        with pytest.raises(ServerRefused) as refused, server_errors(settings.elasticsearch, "answer"):
            async with make_client(settings.elasticsearch) as client:
                await client.cluster.health()
        (finding,) = [one for one in await check_servers(settings) if one.subject == "elasticsearch"]
    assert hint in str(refused.value)
    assert hint in finding.detail
    assert "s3cret" not in str(refused.value) + finding.detail
