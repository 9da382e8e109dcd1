"""Settings of Elasticsearch: where the documents go, and how fast."""

import re
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from pipeline.settings.group import Group, StringList

__all__ = ["Elasticsearch"]


class Elasticsearch(Group):
    """Where the documents go, and how fast."""

    hosts: StringList = Field(default=("http://127.0.0.1:9200",), min_length=1)
    """Nodes, `http(s)://host:port`; requests go round them."""
    api_key: SecretStr | None = None
    """API key in its base64 form, which Elasticsearch gives out as `encoded`; not `id:key`."""
    username: str | None = None
    """User of basic authentication."""
    password: SecretStr | None = None
    """Password of basic authentication."""
    ca_certs: Path | None = None
    """PEM file of the authority that signed the nodes' certificates; the system's authorities without it."""
    request_timeout_seconds: float = Field(default=60.0, gt=0, le=3600)
    """How long one request may take before its outcome counts as unknown and it is sent again."""
    slow_request_seconds: float = Field(default=10.0, gt=0, le=600)
    """A request that takes longer is a sign of overload: size and number of requests are halved."""
    compress: bool = False
    """Send gzip bodies: worth its CPU across a slow network only."""
    bulk_max_bytes: int = Field(default=2 << 20, ge=1 << 14, le=90 << 20)
    """Size at which a bulk request is sent. A single larger document is sent alone."""
    flush_interval_seconds: float = Field(default=0.5, gt=0, le=60)
    """Longest wait of a record for its bulk request to fill."""
    max_concurrent_requests: int = Field(default=4, ge=1, le=64)
    """Bulk requests in flight at a time, per worker."""
    max_in_flight_bytes: int = Field(default=16 << 20, ge=1 << 16, le=4 << 30)
    """Document bytes waiting or in flight at which partitions are paused."""
    retry_initial_seconds: float = Field(default=0.5, gt=0, le=60)
    """Upper bound of the first wait before something is sent again; doubles each time, with full jitter."""
    retry_max_seconds: float = Field(default=30.0, gt=0, le=600)
    """Upper bound of any such wait."""

    @field_validator("hosts")
    @classmethod
    def _hosts_are_urls(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if "@" in host:
                raise ValueError("user and password are set by username and password")
            if not re.fullmatch(r"https?://[^\s/:@]+:\d{1,5}(/\S*)?", host):
                raise ValueError(f"{host!r} is not http(s)://host:port")
        if len({host.partition(":")[0] for host in hosts}) > 1:
            raise ValueError("some are http and some are https; credentials would be sent both ways")
        return hosts

    @field_validator("api_key")
    @classmethod
    def _api_key_is_encoded(cls, key: SecretStr | None) -> SecretStr | None:
        # Base64 has no colon, so this is certain; what else may be wrong with a key only the server knows.
        if key is not None and ":" in key.get_secret_value():
            raise ValueError(
                "this is id:key as it stands; Elasticsearch wants the base64 form of it: `encoded` in the answer that "
                "made the key, or what `printf %s 'id:key' | base64 -w 0` prints"
            )
        return key

    @model_validator(mode="after")
    def _one_way_to_authenticate(self) -> Self:
        if self.api_key is not None and self.username is not None:
            raise ValueError("set either api_key or username and password, not both")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password are only of use together")
        return self
