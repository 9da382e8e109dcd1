"""Settings of Kafka: where the records come from."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from pipeline.settings.group import Group, StringList

__all__ = ["Kafka", "is_own_topic"]

_OWN_TOPICS = (".dead-letters", ".trace-events", "-__assignor-__leader")


class Kafka(Group):
    """Where the records come from."""

    bootstrap_servers: StringList = Field(default=("127.0.0.1:9092",), min_length=1)
    """Brokers to ask first, `host:port`; a comma-separated list in the environment."""
    topics: StringList = ("claude-code-bot.logs",)
    """Topics to read. Leave empty when `topic_pattern` is set."""
    topic_pattern: str | None = None
    """Regular expression of the topics to read, instead of `topics`; new ones are found as they appear. Topics of a
    pipeline's own (`….dead-letters`, `….trace-events`) are never read."""
    metadata_max_age_seconds: float = Field(default=30.0, ge=1, le=3600)
    """How old may be what is known of the topics: new topics and partitions are found within this time."""
    group_id: str = Field(default="logpipe", min_length=1)
    """Consumer group; its committed offsets say what is done."""
    client_id: str = "logpipe"
    """Name of this client in the broker's logs and quotas."""
    group_instance_id: str | None = None
    """Static membership (KIP-345): a restart within the session timeout causes no rebalance."""
    start_at: Literal["earliest", "latest"] = "earliest"
    """Where a group without any committed offset begins, once: `latest` skips what is already in the topics. Partitions
    and topics that come later are read from their beginning."""
    corrupt_batches: Literal["stop", "skip"] = "stop"
    """What becomes of a partition with a batch that is damaged: `stop` waits until it can be read, `skip` counts it and
    goes on behind it. Other partitions are read on in either case."""
    connect_timeout_seconds: float = Field(default=10.0, gt=0, le=600)
    """How long all of `bootstrap_servers` together have to answer before Kafka counts as away."""
    session_timeout_seconds: float = Field(default=45.0, ge=1, le=1800)
    """How long the broker waits for a heartbeat before it gives the partitions to another worker."""
    max_poll_records: int = Field(default=1000, ge=1, le=100_000)
    """Records handled before the worker looks at its sockets again."""
    fetch_max_bytes: int = Field(default=2 << 20, ge=1 << 16, le=1 << 30)
    """Most bytes of one fetch answer, all partitions together, compressed."""
    max_partition_fetch_bytes: int = Field(default=1 << 20, ge=1 << 12, le=1 << 30)
    """Most bytes of one partition in one fetch answer, compressed; a larger single message still passes."""
    isolation_level: Literal["read_committed", "read_uncommitted"] = "read_committed"
    """Whether records of aborted transactions are left out."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to connect: with TLS (`SSL`, `SASL_SSL`) or without, with user and password (`SASL_…`) or without."""
    ca_certs: Path | None = None
    """PEM file of the authority that signed the brokers' certificates; the system's authorities without it."""
    client_cert: Path | None = None
    """PEM file of this client's own certificate, for brokers that ask for one."""
    client_key: Path | None = None
    """PEM file of the certificate's key, unencrypted; without it the key is in `client_cert`."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How user and password are shown to the broker. `PLAIN` sends them as they are: use TLS with it."""
    sasl_username: str | None = Field(default=None, min_length=1)
    """User of SASL."""
    sasl_password: SecretStr | None = Field(default=None, min_length=1)
    """Password of SASL."""

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol in {"SSL", "SASL_SSL"}

    @property
    def uses_sasl(self) -> bool:
        """Whether user and password are shown."""
        return self.security_protocol in {"SASL_PLAINTEXT", "SASL_SSL"}

    @field_validator("bootstrap_servers")
    @classmethod
    def _servers_have_ports(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for server in servers:
            if "@" in server:
                raise ValueError("user and password are set by sasl_username and sasl_password")
            if not re.fullmatch(r"\S+:\d{1,5}", server):
                raise ValueError(f"{server!r} is not host:port")
        return servers

    @field_validator("topics")
    @classmethod
    def _topics_are_legal(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        for topic in topics:
            if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic):
                raise ValueError(
                    f"{topic!r} is not a topic name (letters, digits, '.', '_', '-', at most 249)"
                )
        return topics

    @field_validator("topic_pattern")
    @classmethod
    def _pattern_compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
        return pattern

    @model_validator(mode="after")
    def _topics_or_pattern(self) -> Self:
        if self.topic_pattern is not None and self.topics and "topics" in self.model_fields_set:
            raise ValueError("set either topics or topic_pattern, not both")
        if self.topic_pattern is None and not self.topics:
            raise ValueError("one of topics and topic_pattern is needed")
        return self

    @model_validator(mode="after")
    def _security_is_complete(self) -> Self:
        """Refuse what would be ignored, and what would connect otherwise than it looks."""
        sasl = ("sasl_mechanism", "sasl_username", "sasl_password")
        tls = ("ca_certs", "client_cert", "client_key")
        missing = [name for name in sasl if getattr(self, name) is None]
        if self.uses_sasl and missing:
            raise ValueError(f"security_protocol = {self.security_protocol} needs {', '.join(missing)}")
        idle = () if self.uses_sasl else [name for name in sasl if name not in missing]
        if idle:
            raise ValueError(
                f"{', '.join(idle)} go with security_protocol = SASL_SSL or SASL_PLAINTEXT; it is "
                f"{self.security_protocol}"
            )
        idle = () if self.uses_tls else [name for name in tls if getattr(self, name) is not None]
        if idle:
            raise ValueError(
                f"{', '.join(idle)} go with security_protocol = SSL or SASL_SSL; it is {self.security_protocol}"
            )
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key is of use with client_cert only")
        return self


def is_own_topic(topic: str) -> bool:
    """Tell whether a topic is a pipeline's own, of whatever prefix: what is in it comes from records that were read."""
    return topic.endswith(_OWN_TOPICS)
