"""One way of connecting to Kafka, for every consumer, producer and admin client."""

import ssl
from pathlib import Path
from typing import Any

from pipeline.errors import SettingsError
from pipeline.settings import Kafka

__all__ = ["connection_options"]


def connection_options(kafka: Kafka, purpose: str = "") -> dict[str, Any]:
    """Give what each client of aiokafka needs to connect: brokers, name, TLS and authentication.

    `purpose` is added to the client's name, so that the broker's logs tell the clients of one process apart.

    Raises SettingsError when a certificate or key cannot be read. The password is in the result as text: it is
    for the client only, never for a message.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": list(kafka.bootstrap_servers),
        "client_id": f"{kafka.client_id}-{purpose}" if purpose else kafka.client_id,
        "security_protocol": kafka.security_protocol,
        "ssl_context": _ssl_context(kafka) if kafka.uses_tls else None,
    }
    if kafka.sasl_mechanism is not None and kafka.sasl_password is not None:
        options["sasl_mechanism"] = kafka.sasl_mechanism
        options["sasl_plain_username"] = kafka.sasl_username
        options["sasl_plain_password"] = kafka.sasl_password.get_secret_value()
    return options


def _ssl_context(kafka: Kafka) -> ssl.SSLContext:
    """Make a context that checks chain and host name, with TLS 1.2 at least; Python's default is all that."""
    for name in ("ca_certs", "client_cert", "client_key"):
        path: Path | None = getattr(kafka, name)
        if path is not None and not path.is_file():
            raise SettingsError(f"kafka.{name} = {str(path)!r}: there is no such file")
    try:
        context = ssl.create_default_context(cafile=kafka.ca_certs)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"kafka.ca_certs = {str(kafka.ca_certs)!r}: {error}") from None
    if kafka.client_cert is not None:
        try:
            # An empty password: OpenSSL would ask for that of an encrypted key on the terminal.
            context.load_cert_chain(kafka.client_cert, kafka.client_key, password="")
        except OSError as error:
            raise SettingsError(
                f"kafka.client_cert = {str(kafka.client_cert)!r}, kafka.client_key = "
                f"{str(kafka.client_key or kafka.client_cert)!r}: no certificate with its unencrypted key: {error}"
            ) from None
    return context
