"""One way of connecting to Elasticsearch, and of telling a user what went wrong with it."""

import ssl
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from elastic_transport import Serializer, TlsError
from elasticsearch import ApiError, AsyncElasticsearch, TransportError, UnsupportedProductError

from pipeline.bulk.outcomes import innermost_cause
from pipeline.bulk.requests import bulk_serializers
from pipeline.errors import LogpipeError, ServerRefused, ServerUnavailable, SettingsError
from pipeline.settings import Elasticsearch

__all__ = [
    "PASSING",
    "credentials_hint",
    "cut_tracebacks",
    "make_bulk_client",
    "make_client",
    "make_ssl_context",
    "reason_of",
    "server_errors",
]

# Beside the bulk requests: two that try what waits, health checks.
_SPARE_CONNECTIONS = 4
_UNAUTHENTICATED = 401
_FORBIDDEN = 403
PASSING = frozenset({408, 429, 502, 503, 504})
"""HTTP statuses of what passes by itself."""


def make_client(
    settings: Elasticsearch, *, serializers: Mapping[str, Serializer] | None = None
) -> AsyncElasticsearch:
    """Make a client by the settings; it connects with its first request.

    A request that a host does not answer, or cannot for now, goes to the next host, each once.

    Raises SettingsError when `ca_certs` is no certificate file, or is set without an https host.
    """
    options = {} if serializers is None else {"serializers": serializers}
    return _make(settings, max_retries=len(settings.hosts) - 1, retry_on_timeout=True, **options)


def make_bulk_client(settings: Elasticsearch) -> AsyncElasticsearch:
    """Make a client for bulk requests: it takes and gives bytes.

    It never repeats a request by itself: what may be sent again, and when, is for the caller to decide. Raises what
    `make_client` does.
    """
    serializers = bulk_serializers(compress=settings.compress)
    return _make(settings, serializers=serializers, max_retries=0, retry_on_timeout=False)


def _make(settings: Elasticsearch, **options: Any) -> AsyncElasticsearch:
    if settings.api_key is not None:
        options["api_key"] = settings.api_key.get_secret_value()
    if settings.username is not None and settings.password is not None:
        options["basic_auth"] = (settings.username, settings.password.get_secret_value())
    if settings.ca_certs is not None or any(host.startswith("https://") for host in settings.hosts):
        options["ssl_context"] = make_ssl_context(settings)
    return AsyncElasticsearch(
        list(settings.hosts),
        request_timeout=settings.request_timeout_seconds,
        http_compress=settings.compress,
        connections_per_node=settings.max_concurrent_requests + _SPARE_CONNECTIONS,
        **options,
    )


def make_ssl_context(settings: Elasticsearch) -> ssl.SSLContext:
    """Make a context that checks chain and name, by `ca_certs` or the system's authorities.

    The client's own does not check the name of a host that is an IP address, and does not know the system's
    authorities (elastic_transport 9.4, `ssl_context_from_node_config` and `DEFAULT_CA_CERTS`).

    Raises SettingsError when `ca_certs` is no certificate file, or is set without an https host.
    """
    if settings.ca_certs is not None:
        _check_ca_certs(settings)
    try:
        return ssl.create_default_context(cafile=settings.ca_certs)
    except OSError as error:  # ssl.SSLError, when the file holds no certificate
        raise SettingsError(f"elasticsearch.ca_certs = {str(settings.ca_certs)!r}: {error}") from None


def _check_ca_certs(settings: Elasticsearch) -> None:
    if settings.ca_certs is not None and not settings.ca_certs.is_file():
        raise SettingsError(f"elasticsearch.ca_certs = {str(settings.ca_certs)!r}: there is no such file")
    for host in settings.hosts:
        if not host.startswith("https://"):
            raise SettingsError(
                f"elasticsearch.ca_certs is for https hosts; elasticsearch.hosts has {host!r}"
            )


@contextmanager
def server_errors(settings: Elasticsearch, doing: str) -> Iterator[None]:
    """Turn the client's exceptions into ours; `doing` completes "Elasticsearch refused to ...".

    Raises ServerUnavailable when no node answered, or one answered that it cannot for now; ServerRefused when
    it said no.
    """
    try:
        yield
    except ApiError as error:
        raise _explained(error, settings, doing) from error
    except TransportError as error:
        hint = "; is elasticsearch.ca_certs right?" if isinstance(error, TlsError) else ""
        raise ServerUnavailable(
            f"no answer from {_where(settings)} (elasticsearch.hosts): {error.message}{hint}"
        ) from error


def reason_of(error: ApiError) -> str:
    """Give the innermost reason of an answer: the outer ones say only where in the request it arose."""
    body = error.body
    return innermost_cause(body.get("error", body) if isinstance(body, dict) else body)


def credentials_hint(settings: Elasticsearch) -> str:
    """Say what to look at when a server answers 401, by what is set; shows nothing of the credentials."""
    if settings.api_key is not None:
        if _is_encoded(settings.api_key.get_secret_value()):
            return "is elasticsearch.api_key a key of this cluster that is still valid?"
        return (
            "elasticsearch.api_key does not look like the base64 of id:key, which Elasticsearch wants: it is "
            "`encoded` in the answer that made the key"
        )
    if settings.username is not None:
        return "are elasticsearch.username and elasticsearch.password right?"
    return "set elasticsearch.api_key, or elasticsearch.username and elasticsearch.password"


def _is_encoded(api_key: str) -> bool:
    try:
        return b":" in b64decode(api_key, validate=True)
    except ValueError:
        return False


def _explained(error: ApiError, settings: Elasticsearch, doing: str) -> LogpipeError:
    if isinstance(error, UnsupportedProductError):
        return ServerRefused(f"what answers at {_where(settings)} (elasticsearch.hosts) is not Elasticsearch")
    status, reason = error.meta.status, reason_of(error)
    if status in PASSING:
        return ServerUnavailable(f"Elasticsearch cannot {doing} now (HTTP {status}): {reason}")
    if status == _UNAUTHENTICATED:
        hint = f"; {credentials_hint(settings)}"
    elif status == _FORBIDDEN:
        hint = "; the user of elasticsearch.api_key or elasticsearch.username lacks a privilege"
    else:
        hint = ""
    return ServerRefused(f"Elasticsearch refused to {doing} (HTTP {status}): {reason}{hint}")


def _where(settings: Elasticsearch) -> str:
    return ", ".join(settings.hosts)


def cut_tracebacks(error: BaseException) -> None:
    """Let go of the frames that an exception of the client and its causes came through.

    They and the exception hold each other, and the body of the request: 2 MB an attempt, until the next garbage
    collection, which `worker/memory.py` has made rare.
    """
    cause: BaseException | None = error
    while cause is not None:
        cause.__traceback__ = None
        for inner in getattr(cause, "errors", ()):
            inner.__traceback__ = None
        cause = cause.__cause__ or cause.__context__
