"""Settings of the pipeline's own spans."""

import re
from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from pipeline.settings.group import Group

__all__ = ["Otlp"]


class Otlp(Group):
    """The pipeline's own spans, by OTLP over HTTP (see docs/otlp.md)."""

    enabled: bool = False
    """Whether batches are traced. Needs the extra `otlp`: `pip install 'kafka-log-pipeline[otlp]'`."""
    endpoint: str = "http://127.0.0.1:4318"
    """The collector, `http(s)://host:port`; `/v1/traces` is added."""
    headers: SecretStr | None = None
    """Headers of each request to it, such as `authorization=Bearer …`; commas between several."""
    ca_certs: Path | None = None
    """PEM file of the authority that signed its certificate; certifi's authorities without it."""
    sample_ratio: float = Field(default=0.05, ge=0, le=1)
    """Share of the batches that are traced, chosen by chance."""
    max_links: int = Field(default=32, ge=0, le=128)
    """Producers' traces that a batch is linked to at most."""

    @field_validator("endpoint")
    @classmethod
    def _endpoint_is_a_base_url(cls, endpoint: str) -> str:
        if "@" in endpoint:
            raise ValueError("user and password are set by headers")
        if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", endpoint):
            raise ValueError(f"{endpoint!r} is not http(s)://host:port")
        if endpoint.rstrip("/").endswith("/v1/traces"):
            raise ValueError("leave /v1/traces out, it is added")
        return endpoint.rstrip("/")

    @field_validator("headers")
    @classmethod
    def _headers_are_pairs(cls, headers: SecretStr | None) -> SecretStr | None:
        pairs = [] if headers is None else headers.get_secret_value().split(",")
        for number, pair in enumerate(pairs, start=1):
            if not re.fullmatch(r"\s*[\w!#$%&'*+.^`|~-]+=[\x20-\x7e]+", pair, re.ASCII):
                raise ValueError(f"header {number} is not name=value")
        return headers

    @property
    def header_fields(self) -> dict[str, str]:
        """The headers by name."""
        pairs = [] if self.headers is None else self.headers.get_secret_value().split(",")
        return {name.strip(): value.strip() for name, _, value in (pair.partition("=") for pair in pairs)}
