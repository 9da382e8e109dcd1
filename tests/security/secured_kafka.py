"""A Kafka with a listener of every security protocol, users of every mechanism, and ACLs that are obeyed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

from pipeline.sandbox import Kafka
from pipeline.sandbox.ports import LOOPBACK, free_port

__all__ = ["PASSWORDS", "SecuredKafka", "secured_kafka"]

# Distinctive, so that finding one anywhere is no accident; with what is special in JAAS, URLs and base64.
PASSWORDS = {
    "PLAIN": "pl4in-S3CRET+/=x",
    "SCRAM-SHA-256": "scr4m256-S3CRET%20",
    "SCRAM-SHA-512": "scr4m512-S3CRET:&",
}
_PLAIN_MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM_MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule"
USERS = ("admin", "logpipe-worker", "logpipe-setup", "logpipe-reader", "logpipe-probe")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


@dataclass(frozen=True, slots=True)
class SecuredKafka:
    """Where to connect for each protocol, and the files of a client."""

    kafka: Kafka
    ports: dict[str, int]
    ca_certs: Path
    client_cert: Path
    other_ca_certs: Path
    """An authority that has signed nothing here."""
    passwords: dict[str, str] = field(default_factory=lambda: dict(PASSWORDS))

    def bootstrap(self, protocol: str, host: str = LOOPBACK) -> str:
        return f"{host}:{self.ports[protocol]}"

    def settings(self, protocol: str, mechanism: str = "PLAIN", user: str = "admin") -> dict[str, str]:
        """Give the settings of group `kafka` that connect."""
        chosen = {"bootstrap_servers": self.bootstrap(protocol), "security_protocol": protocol}
        if protocol in {"SSL", "SASL_SSL"}:
            chosen["ca_certs"] = str(self.ca_certs)
        if protocol == "SSL":  # the listener asks for a certificate
            chosen["client_cert"] = str(self.client_cert)
        if protocol.startswith("SASL_"):
            chosen |= {
                "sasl_mechanism": mechanism,
                "sasl_username": user,
                "sasl_password": self.passwords[mechanism],
            }
        return chosen


@contextmanager
def secured_kafka(directory: Path, authority: trustme.CA) -> Iterator[SecuredKafka]:
    """Start it; the superusers are the one without a name, `admin`, and the holder of the certificate."""
    ports = {protocol: free_port() for protocol in PROTOCOLS}
    controller = free_port()
    listeners = [f"{protocol}://{LOOPBACK}:{port}" for protocol, port in ports.items()]
    scram_users = [
        f"{mechanism}=[name={user},password={password}]"
        for mechanism, password in PASSWORDS.items()
        if mechanism.startswith("SCRAM")
        for user in USERS
    ]
    plain_users = " ".join(f'user_{user}="{PASSWORDS["PLAIN"]}"' for user in USERS)
    settings = {
        "listeners": ",".join([*listeners, f"CONTROLLER://{LOOPBACK}:{controller}"]),
        "listener.security.protocol.map": ",".join(
            [*(f"{protocol}:{protocol}" for protocol in PROTOCOLS), "CONTROLLER:PLAINTEXT"]
        ),
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
        "sasl.enabled.mechanisms": ",".join(PASSWORDS),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:admin;User:CN=logpipe-client",
        "ssl.principal.mapping.rules": "RULE:^.*(CN=[^,]+).*$/$1/,DEFAULT",
        "listener.name.ssl.ssl.client.auth": "required",
        **_pem(authority),
    }
    for listener in ("sasl_plaintext", "sasl_ssl"):
        settings[f"listener.name.{listener}.plain.sasl.jaas.config"] = (
            f"{_PLAIN_MODULE} required {plain_users};"
        )
        for mechanism in ("scram-sha-256", "scram-sha-512"):
            settings[f"listener.name.{listener}.{mechanism}.sasl.jaas.config"] = f"{_SCRAM_MODULE} required;"
    kafka = Kafka(
        directory / "kafka",
        port=ports["PLAINTEXT"],
        heap_mb=256,
        settings=settings,
        scram_users=scram_users,
        remove_when_orphaned=True,
    )
    files = {name: directory / f"{name}.pem" for name in ("ca", "client", "other")}
    authority.cert_pem.write_to_path(files["ca"])
    client = authority.issue_cert("client.test", common_name="logpipe-client")
    client.private_key_and_cert_chain_pem.write_to_path(files["client"])
    trustme.CA().cert_pem.write_to_path(files["other"])
    try:
        kafka.start()
        yield SecuredKafka(kafka, ports, files["ca"], files["client"], files["other"])
    finally:
        kafka.kill()


def _pem(authority: trustme.CA) -> dict[str, str]:
    """Certificate and key as Kafka takes them without a Java keystore: PEM, the key as PKCS #8."""
    certificate = authority.issue_cert(LOOPBACK, "kafka.test")
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), password=None)
    pkcs8 = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": b"".join(
            blob.bytes() for blob in certificate.cert_chain_pems
        ).decode(),
        "ssl.keystore.key": pkcs8.decode(),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": authority.cert_pem.bytes().decode(),
    }
