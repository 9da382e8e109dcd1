"""One authority and one secured Kafka for all tests of security."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from pipeline.sandbox import Servers
from tests.security.secured_kafka import SecuredKafka, secured_kafka
from tests.security.tls_proxy import TlsProxy, tls_proxy


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def secured(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured"), authority) as running:
        yield running


@pytest.fixture(scope="session")
def secured_elasticsearch(servers: Servers, authority: trustme.CA) -> Iterator[TlsProxy]:
    with tls_proxy(servers.elasticsearch_url, authority) as running:
        yield running


@pytest.fixture
def encrypted_key(authority: trustme.CA, tmp_path: Path) -> str:
    certificate = authority.issue_cert("client.test")
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), password=None)
    file = tmp_path / "encrypted.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"S3CRET"),
        )
    )
    return str(file)
