"""TLS and authentication to Elasticsearch: whom we trust, and how it is said when we do not."""

from pathlib import Path

import pytest
import trustme

from pipeline.bulk.client import make_client, server_errors
from pipeline.errors import ServerRefused, ServerUnavailable, SettingsError
from pipeline.sandbox import Servers
from pipeline.settings import load_settings
from tests.security.tls_proxy import API_KEY, PASSWORD, USERNAME, TlsProxy, tls_proxy


@pytest.fixture
def ca_certs(authority: trustme.CA, tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return str(file)


async def health(settings: dict[str, str]) -> str:
    chosen = load_settings(overrides={"elasticsearch": settings}).elasticsearch
    async with make_client(chosen) as client:
        with server_errors(chosen, "tell its health"):
            return str((await client.cluster.health())["status"])


@pytest.mark.parametrize(
    "credentials",
    [{"api_key": API_KEY}, {"username": USERNAME, "password": PASSWORD}],
    ids=["API key", "user and password"],
)
async def test_own_authority_and_credentials(
    secured_elasticsearch: TlsProxy, ca_certs: str, credentials: dict[str, str]
) -> None:
    assert await health(secured_elasticsearch.settings(ca_certs=ca_certs, **credentials)) in {
        "green",
        "yellow",
    }


@pytest.mark.parametrize(
    "credentials",
    [{}, {"api_key": "wr0ng-S3CRET"}, {"username": USERNAME, "password": "wr0ng-S3CRET"}],
    ids=["none", "API key", "user and password"],
)
async def test_wrong_credentials_are_refused(
    secured_elasticsearch: TlsProxy, ca_certs: str, credentials: dict[str, str]
) -> None:
    with pytest.raises(ServerRefused, match="HTTP 401") as caught:
        await health(secured_elasticsearch.settings(ca_certs=ca_certs, **credentials))
    assert "S3CRET" not in f"{caught.value} {caught.value.__cause__!r}"


async def test_another_authority_is_not_trusted(secured_elasticsearch: TlsProxy, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    with pytest.raises(ServerUnavailable, match=r"elasticsearch\.ca_certs right") as caught:
        await health(secured_elasticsearch.settings(api_key=API_KEY, ca_certs=str(tmp_path / "other.pem")))
    assert API_KEY not in str(caught.value)


async def test_system_authorities_are_used_without_ca_certs(
    secured_elasticsearch: TlsProxy, ca_certs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServerUnavailable, match=r"elasticsearch\.ca_certs right"):
        await health(secured_elasticsearch.settings(api_key=API_KEY))
    monkeypatch.setenv("SSL_CERT_FILE", ca_certs)  # where OpenSSL looks for the system's
    assert await health(secured_elasticsearch.settings(api_key=API_KEY))


async def test_certificate_of_another_host_is_not_trusted(
    servers: Servers, authority: trustme.CA, ca_certs: str
) -> None:
    """Also by its address: the client's own context leaves that unchecked."""
    with tls_proxy(servers.elasticsearch_url, authority, name="other.test") as proxy:
        for url in (proxy.url, f"https://localhost:{proxy.port}"):
            with pytest.raises(ServerUnavailable, match=r"elasticsearch\.hosts"):
                await health({"hosts": url, "api_key": API_KEY, "ca_certs": ca_certs})


async def test_plain_http_to_a_tls_port_is_unavailable(secured_elasticsearch: TlsProxy) -> None:
    with pytest.raises((ServerUnavailable, ServerRefused)):
        await health({"hosts": secured_elasticsearch.url.replace("https", "http"), "api_key": API_KEY})


@pytest.mark.parametrize(("name", "content"), [("none.pem", None), ("empty.pem", ""), ("text.pem", "text")])
async def test_unusable_authority_file_is_a_wrong_setting(
    tmp_path: Path, name: str, content: str | None
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(SettingsError, match=rf"elasticsearch\.ca_certs = .*{name}"):
        await health({"hosts": "https://127.0.0.1:1", "ca_certs": str(tmp_path / name)})
