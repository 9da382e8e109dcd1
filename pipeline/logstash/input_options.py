"""The options of the Kafka input: what is done of each, and which of our settings they are."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pipeline.logstash.options import Given, Option

__all__ = ["INPUT_OPTIONS", "KAFKA_SETTINGS", "settings_of_input"]

_TUNING: Final = "Batches, buffers and time-outs are this pipeline's own settings."
_COMMON: Final[Mapping[str, Option]] = {
    "add_field": Option("hash", {}),
    "codec": Option("any", "plain"),
    "enable_metric": Option("boolean", True, status="ignored", note="Every record is counted."),
    "id": Option("string"),
    "tags": Option("array", []),
    "type": Option("string"),
}
_OF_OLD: Final = "It is of Logstash before 5.0: name the brokers and topics, bootstrap_servers and topics."
_OAUTH: Final = "OAuth is not supported: use SASL with user and password, or TLS."
_REGISTRY: Final = "Records are JSON or text: let the producer write JSON."
_REFUSED: Final = {
    **dict.fromkeys(
        [
            "schema_registry_key",
            "schema_registry_proxy",
            "schema_registry_secret",
            "schema_registry_ssl_keystore_location",
            "schema_registry_ssl_keystore_password",
            "schema_registry_ssl_keystore_type",
            "schema_registry_ssl_truststore_location",
            "schema_registry_ssl_truststore_password",
            "schema_registry_ssl_truststore_type",
            "schema_registry_url",
            "schema_registry_validation",
        ],
        _REGISTRY,
    ),
    **dict.fromkeys(
        [
            "sasl_client_callback_handler_class",
            "sasl_login_callback_handler_class",
            "sasl_login_connect_timeout_ms",
            "sasl_login_read_timeout_ms",
            "sasl_login_retry_backoff_max_ms",
            "sasl_login_retry_backoff_ms",
            "sasl_oauthbearer_scope_claim_name",
            "sasl_oauthbearer_token_endpoint_url",
        ],
        _OAUTH,
    ),
    **dict.fromkeys(
        [
            "black_list",
            "consumer_id",
            "consumer_restart_on_error",
            "consumer_restart_sleep_ms",
            "consumer_timeout_ms",
            "decoder_class",
            "fetch_message_max_bytes",
            "key_decoder_class",
            "queue_size",
            "rebalance_backoff_ms",
            "rebalance_max_retries",
            "reset_beginning",
            "white_list",
        ],
        _OF_OLD,
    ),
    "jaas_path": "Set kafka.sasl_username and kafka.sasl_password.",
    "kerberos_config": "Kerberos is not supported: use SASL with user and password, or TLS.",
    "sasl_kerberos_service_name": "Kerberos is not supported: use SASL with user and password, or TLS.",
    "zk_connect": "It is of Logstash before 5.0: name the brokers, bootstrap_servers.",
    "topic_id": "It is of Logstash before 5.0: name the topics, topics.",
}
_STORES: Final = (
    "Keys and certificates are PEM files here: kafka.ca_certs, kafka.client_cert, kafka.client_key."
)
INPUT_OPTIONS: Final[Mapping[str, Option]] = {
    **_COMMON,
    "auto_offset_reset": Option("string"),
    "bootstrap_servers": Option("string", "localhost:9092"),
    "client_id": Option("string"),
    "consumer_threads": Option(
        "number", status="differs", note="Threads are worker processes here: run.workers."
    ),
    "decorate_events": Option("string", "none", choices=("none", "basic", "extended", "true", "false")),
    "enable_auto_commit": Option(
        "boolean", status="ignored", note="Offsets are committed when everything below them is settled."
    ),
    "group_id": Option("string", "logstash"),
    "group_instance_id": Option("string"),
    "isolation_level": Option("string", choices=("read_committed", "read_uncommitted")),
    "max_poll_records": Option("number"),
    "sasl_jaas_config": Option("string"),
    "sasl_mechanism": Option("string"),
    "security_protocol": Option("string"),
    "session_timeout_ms": Option("number"),
    "ssl_truststore_location": Option("string", status="differs", note=_STORES),
    "ssl_truststore_type": Option("string", status="differs", note=_STORES),
    "ssl_truststore_password": Option("string", status="differs", note=_STORES),
    "ssl_keystore_location": Option("string", status="differs", note=_STORES),
    "ssl_keystore_type": Option("string", status="differs", note=_STORES),
    "ssl_keystore_password": Option("string", status="differs", note=_STORES),
    "ssl_key_password": Option("string", status="differs", note=_STORES),
    "ssl_endpoint_identification_algorithm": Option(
        "string", status="ignored", note="Names are always checked."
    ),
    "topics": Option("array", ["logstash"]),
    "topics_pattern": Option("string"),
    **{
        name: Option("any", status="ignored", note=_TUNING)
        for name in [
            "auto_commit_interval_ms",
            "auto_create_topics",
            "check_crcs",
            "client_dns_lookup",
            "client_rack",
            "connections_max_idle_ms",
            "exclude_internal_topics",
            "fetch_max_bytes",
            "fetch_max_wait_ms",
            "fetch_min_bytes",
            "group_protocol",
            "heartbeat_interval_ms",
            "key_deserializer_class",
            "max_partition_fetch_bytes",
            "max_poll_interval_ms",
            "metadata_max_age_ms",
            "partition_assignment_strategy",
            "poll_timeout_ms",
            "receive_buffer_bytes",
            "reconnect_backoff_ms",
            "request_timeout_ms",
            "retry_backoff_ms",
            "send_buffer_bytes",
            "value_deserializer_class",
        ]
    },
    **{name: Option("any", status="refused", note=note) for name, note in _REFUSED.items()},
}
KAFKA_SETTINGS: Final[Mapping[str, str]] = {
    "auto_offset_reset": "kafka.start_at",
    "bootstrap_servers": "kafka.bootstrap_servers",
    "client_id": "kafka.client_id",
    "consumer_threads": "run.workers",
    "group_id": "kafka.group_id",
    "group_instance_id": "kafka.group_instance_id",
    "isolation_level": "kafka.isolation_level",
    "max_poll_records": "kafka.max_poll_records",
    "sasl_mechanism": "kafka.sasl_mechanism",
    "security_protocol": "kafka.security_protocol",
    "session_timeout_ms": "kafka.session_timeout_seconds",
    "topics": "kafka.topics",
    "topics_pattern": "kafka.topic_pattern",
}


def settings_of_input(given: Given) -> dict[str, Any]:
    """Give the options that are settings of ours, by the names of the settings."""
    settings: dict[str, Any] = {**_credentials(given), **_certificates(given)}
    for name, setting in KAFKA_SETTINGS.items():
        if not given.given(name):
            continue
        value = given[name]
        if name == "bootstrap_servers":
            value = [part.strip() for part in value.split(",")]
        elif name == "session_timeout_ms":
            value /= 1000
        settings[setting] = value
    return settings


# As Kafka's Java client has it: a login module, and its options.
_LOGIN: Final = re.compile(r"\b(username|password)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s;\"']+))")
_MODULES: Final = ("PlainLoginModule", "ScramLoginModule")


def _credentials(given: Given) -> dict[str, str]:
    """Take user and password out of `sasl_jaas_config`; raises LogstashError where it has none."""
    text: str = given["sasl_jaas_config"] or ""
    if not text:
        return {}
    found = {name: quoted or single or bare or "" for name, quoted, single, bare in _LOGIN.findall(text)}
    if not any(module in text for module in _MODULES) or found.keys() != {"username", "password"}:
        raise given.place("sasl_jaas_config").error(
            "`sasl_jaas_config` is no PlainLoginModule or ScramLoginModule with username and password.",
            "Kerberos and OAuth are not supported: set kafka.sasl_username and kafka.sasl_password, or use TLS.",
        )
    return {"kafka.sasl_username": found["username"], "kafka.sasl_password": found["password"]}


def _certificates(given: Given) -> dict[str, str]:
    """Take the stores that are PEM files, as ours are."""
    settings = {"ssl_truststore": "kafka.ca_certs", "ssl_keystore": "kafka.client_cert"}
    return {
        setting: given[f"{store}_location"]
        for store, setting in settings.items()
        if given[f"{store}_location"] and str(given[f"{store}_type"]).upper() == "PEM"
    }
