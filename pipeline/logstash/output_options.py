"""The options of the Elasticsearch output: what is done of each, and which of our settings they are."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pipeline.logstash.options import Given, Option

__all__ = ["ELASTICSEARCH_SETTINGS", "OUTPUT_OPTIONS", "settings_of_output"]

_TUNING: Final = "Connections, retries and sizes of requests are this pipeline's own settings."
_SETUP: Final = "`logpipe setup` installs this pipeline's own template and lifecycle policy."
_SCRIPT: Final = "Scripts are not sent: use an ingest pipeline."
_ORDER: Final = "Versions are not sent: what is written last counts."
OUTPUT_OPTIONS: Final[Mapping[str, Option]] = {
    "action": Option("string"),
    "api_key": Option("string"),
    "cacert": Option("string"),
    "cloud_auth": Option(
        "string", status="differs", note="Set elasticsearch.username and elasticsearch.password."
    ),
    "cloud_id": Option(
        "string", status="differs", note="Set elasticsearch.hosts to the deployment's address."
    ),
    "data_stream": Option("string", choices=("true", "false", "auto")),
    "data_stream_auto_routing": Option("boolean", True),
    "data_stream_dataset": Option("string", "generic"),
    "data_stream_namespace": Option("string", "default"),
    "data_stream_sync_fields": Option("boolean", True),
    "data_stream_type": Option("string", "logs"),
    "doc_as_upsert": Option("boolean", False),
    "document_id": Option(
        "string",
        status="differs",
        note="An id of one's own: two records with the same id are one document, and `audit` cannot tell.",
    ),
    "document_type": Option("string", status="ignored", note="Elasticsearch has no types any more."),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
    "enable_metric": Option("boolean", True, status="ignored", note="Every request is counted."),
    "hosts": Option("array", ["127.0.0.1"]),
    "http_compression": Option("boolean"),
    "id": Option("string"),
    "ilm_enabled": Option("string", status="differs", note=_SETUP),
    "ilm_pattern": Option("string", status="differs", note=_SETUP),
    "ilm_policy": Option("string", status="differs", note=_SETUP),
    "ilm_rollover_alias": Option("string", status="differs", note="Events go to the alias. " + _SETUP),
    "index": Option("string"),
    "manage_template": Option("boolean", status="differs", note=_SETUP),
    "password": Option("string"),
    "pipeline": Option("string"),
    "routing": Option("string"),
    "ssl": Option("boolean", status="differs", note="A host that begins with https:// is asked with TLS."),
    "ssl_enabled": Option(
        "boolean", status="differs", note="A host that begins with https:// is asked with TLS."
    ),
    "ssl_certificate_authorities": Option("array"),
    "ssl_certificate_verification": Option(
        "boolean", status="differs", note="Certificates are always checked."
    ),
    "ssl_verification_mode": Option("string", status="differs", note="Certificates are always checked."),
    "template": Option("string", status="differs", note=_SETUP),
    "template_api": Option("string", status="differs", note=_SETUP),
    "template_name": Option("string", status="differs", note=_SETUP),
    "template_overwrite": Option("boolean", status="differs", note=_SETUP),
    "upsert": Option("string", ""),
    "user": Option("string"),
    **{
        name: Option("any", status="ignored", note=_TUNING)
        for name in [
            "bulk_path",
            "codec",
            "compression_level",
            "custom_headers",
            "dlq_custom_codes",
            "dlq_on_failed_indexname_interpolation",
            "drop_error_types",
            "failure_type_logging_whitelist",
            "flush_size",
            "healthcheck_path",
            "idle_flush_time",
            "include_source_on_error",
            "path",
            "pool_max",
            "pool_max_per_route",
            "resurrect_delay",
            "retry_initial_interval",
            "retry_max_interval",
            "retry_on_conflict",
            "silence_errors_in_log",
            "sniffing",
            "sniffing_delay",
            "sniffing_path",
            "timeout",
            "validate_after_inactivity",
            "workers",
        ]
    },
    **{
        name: Option("any", status="refused", note=_SCRIPT)
        for name in ("script", "script_lang", "script_type", "script_var_name", "scripted_upsert")
    },
    **{name: Option("any", status="refused", note=_ORDER) for name in ("version", "version_type")},
    "join_field": Option("any", status="refused", note="Parents are not sent."),
    "parent": Option("any", status="refused", note="Parents are not sent."),
    "proxy": Option("any", status="refused", note="Requests go to the hosts themselves."),
    "parameters": Option("any", status="refused", note="Requests have no parameters of your own."),
    **{
        name: Option("any", status="refused", note="Client certificates of Elasticsearch are not supported.")
        for name in (
            "keystore",
            "keystore_password",
            "ssl_certificate",
            "ssl_key",
            "ssl_keystore_password",
            "ssl_keystore_path",
            "ssl_keystore_type",
        )
    },
    **{
        name: Option("any", status="differs", note="Certificates are PEM files: elasticsearch.ca_certs.")
        for name in (
            "ca_trusted_fingerprint",
            "ssl_truststore_password",
            "ssl_truststore_path",
            "ssl_truststore_type",
            "truststore",
            "truststore_password",
        )
    },
    **{
        name: Option("any", status="differs", note="TLS 1.2 or later, with the ciphers of Python.")
        for name in ("ssl_cipher_suites", "ssl_supported_protocols")
    },
    **{
        name: Option("any", status="refused", note="It is of Logstash before 2.0: name the servers, hosts.")
        for name in ("cluster", "host", "port", "protocol")
    },
}
ELASTICSEARCH_SETTINGS: Final[Mapping[str, str]] = {
    "api_key": "elasticsearch.api_key",
    "cacert": "elasticsearch.ca_certs",
    "hosts": "elasticsearch.hosts",
    "http_compression": "elasticsearch.compress",
    "password": "elasticsearch.password",
    "ssl_certificate_authorities": "elasticsearch.ca_certs",
    "user": "elasticsearch.username",
}


def settings_of_output(given: Given) -> dict[str, Any]:
    """Give the options that are settings of ours, by the names of the settings."""
    settings: dict[str, Any] = {}
    for name, setting in ELASTICSEARCH_SETTINGS.items():
        if given.given(name):
            value = given[name]
            if name == "hosts":
                value = [_host(str(host)) for host in value]
            elif isinstance(value, list):
                value = value[0] if value else None
            settings[setting] = value
    return settings


def _host(host: str) -> str:
    if "://" not in host:
        host = f"http://{host}"
    return host if re.search(r":\d+(?:/|$)", host.split("://", 1)[1]) else f"{host.rstrip('/')}:9200"
