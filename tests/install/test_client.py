"""The client is made by the settings, and tells its mistakes by their names."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.bulk.client import make_client, server_errors
from pipeline.errors import ServerUnavailable, SettingsError
from pipeline.settings import Elasticsearch
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
