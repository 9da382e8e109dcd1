"""Every setting of the pipeline: its type, its unit, its default and what it is for.

Sources, the first that names a setting wins: command-line options, environment variables
(`LOGPIPE_KAFKA__TOPICS=a,b`), secret files (`LOGPIPE_SECRETS_DIR`, see `secret_files.py`), the TOML or YAML
file, the default.
"""

import json
import os
import re
import zoneinfo
from collections.abc import Mapping
from datetime import UTC, tzinfo
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError as PydanticSettingsError,
    TomlConfigSettingsSource,
    YamlConfigSettingsSource,
)

from pipeline.errors import SettingsError
from pipeline.secret_files import SecretFiles

__all__ = [
    "CONFIG_FILE_VARIABLE",
    "LEASH_VARIABLE",
    "Elasticsearch",
    "Events",
    "Http",
    "Index",
    "Kafka",
    "Metrics",
    "Run",
    "Settings",
    "Shutdown",
    "Traces",
    "load_settings",
]

CONFIG_FILE_VARIABLE = "LOGPIPE_CONFIG"
SECRETS_DIRECTORY_VARIABLE = "LOGPIPE_SECRETS_DIR"
# No setting: how `run` hands a worker the line to itself.
LEASH_VARIABLE = "LOGPIPE_LEASH"
DEFAULT_CONFIG_FILE = Path("logpipe.toml")


def _split_commas(value: Any) -> Any:
    """Take `a,b` from an environment variable as well as a list from a file."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",") if part.strip()]


StringList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @field_validator("ca_certs", "client_cert", "client_key", mode="before", check_fields=False)
    @classmethod
    def _paths_are_no_contents(cls, value: Any) -> Any:
        """Refuse a file's content in place of its path: a secret file named after the setting may hold that."""
        if isinstance(value, str) and "-----BEGIN" in value:
            raise ValueError("this is the content of a file; the setting is the path of one")
        return value


class Kafka(_Group):
    """Where the records come from."""

    bootstrap_servers: StringList = Field(default=("127.0.0.1:9092",), min_length=1)
    """Brokers to ask first, `host:port`; a comma-separated list in the environment."""
    topics: StringList = ("claude-code-bot.logs",)
    """Topics to read. Leave empty when `topic_pattern` is set."""
    topic_pattern: str | None = None
    """Regular expression of the topics to read, instead of `topics`; new ones are found as they appear."""
    group_id: str = Field(default="logpipe", min_length=1)
    """Consumer group; its committed offsets say what is done."""
    client_id: str = "logpipe"
    """Name of this client in the broker's logs and quotas."""
    group_instance_id: str | None = None
    """Static membership (KIP-345): a restart within the session timeout causes no rebalance."""
    start_at: Literal["earliest", "latest"] = "earliest"
    """Where a group without committed offsets begins; `latest` skips what is already in the topic."""
    session_timeout_seconds: float = Field(default=45.0, ge=1, le=1800)
    """How long the broker waits for a heartbeat before it gives the partitions to another worker."""
    max_poll_records: int = Field(default=4000, ge=1, le=100_000)
    """Records handled before the worker looks at its sockets again."""
    fetch_max_bytes: int = Field(default=8 << 20, ge=1 << 16, le=1 << 30)
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


class Elasticsearch(_Group):
    """Where the documents go, and how fast."""

    hosts: StringList = Field(default=("http://127.0.0.1:9200",), min_length=1)
    """Nodes, `http(s)://host:port`; requests go round them."""
    api_key: SecretStr | None = None
    """API key, encoded as Elasticsearch gives it out."""
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

    @model_validator(mode="after")
    def _one_way_to_authenticate(self) -> Self:
        if self.api_key is not None and self.username is not None:
            raise ValueError("set either api_key or username and password, not both")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password are only of use together")
        return self


class Events(_Group):
    """How an event is read."""

    service: str = Field(default="claude-code-bot", min_length=1)
    """Our service: the value of `fields.service` whose events are parsed, and of `service_name`."""
    default_timezone: str = "UTC"
    """IANA name of the zone of timestamps that carry none."""
    retention_days: int = Field(default=90, ge=1, le=36_500)
    """Events older than this against Kafka's timestamp go into the index of Kafka's day."""
    max_future_seconds: int = Field(default=86_400, ge=0, le=31_536_000)
    """Events further ahead of Kafka's timestamp than this go into the index of Kafka's day."""
    syslog_levels: bool = False
    """Read the numbers 0 to 7 in `level` as syslog severities."""
    fingerprints: bool = True
    """Give events of level ERROR the field `error.fingerprint`, the same for every occurrence of one fault."""
    max_array_events: int = Field(default=10_000, ge=1, le=1_000_000)
    """A record holding a longer array is kept whole, as a record that cannot be parsed."""

    @field_validator("default_timezone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"{name!r} is not a time zone of the IANA database, such as Europe/Berlin"
            ) from error
        return name

    @cached_property
    def zone(self) -> tzinfo:
        """The zone of timestamps that carry none."""
        return UTC if self.default_timezone == "UTC" else zoneinfo.ZoneInfo(self.default_timezone)


class Index(_Group):
    """How the indices are named and rolled."""

    prefix: str = Field(default="claude-code-bot", min_length=1, max_length=200)
    """Name before `-YYYY.MM.dd`; also the name of the template, the policy's prefix and the alias."""
    roll: Literal["day", "ilm"] = "day"
    """`day`: an index per event day, replays are no-ops. `ilm`: one alias that ILM rolls over by size and
    age; a replay across a rollover indexes a second copy."""

    @field_validator("prefix")
    @classmethod
    def _prefix_is_legal(cls, prefix: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", prefix):
            raise ValueError(f"{prefix!r} is not an index name (lower-case letters, digits, '.', '_', '-')")
        return prefix


class Metrics(_Group):
    """The metrics derived from the logs."""

    from_logs: bool = True
    """Whether metrics are derived from the events at all."""
    rules_file: Path | None = None
    """TOML file of the rules, instead of those that the pipeline brings along (see docs/log-metrics.md)."""
    disabled: StringList = ()
    """Names of metrics that are not to be derived, because the application itself exposes them, say."""
    top_errors: int = Field(default=50, ge=1, le=1000)
    """Fingerprints of errors that are counted under their own name; the others are `other`."""
    new_errors: bool = True
    """Keep each fingerprint's first occurrence in the index `<prefix>.fingerprints`, and count new ones."""


class Traces(_Group):
    """The pipeline's own traces, by OTLP over HTTP (see docs/traces.md)."""

    enabled: bool = False
    """Whether batches are traced. Needs the extra `traces`: `pip install 'kafka-log-pipeline[traces]'`."""
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


class Http(_Group):
    """The worker's own HTTP server."""

    host: str = "127.0.0.1"
    """Address of `/metrics` and `/health`; loopback unless it must be scraped from elsewhere."""
    port: int = Field(default=9600, ge=0, le=65_535)
    """Port of `/metrics` and `/health`; 0 takes any free one."""


class Run(_Group):
    """The workers of `logpipe run`."""

    workers: int = Field(default=0, ge=0, le=256)
    """Worker processes; 0 is one per core this process may use. More than partitions are idle."""
    restart_initial_seconds: float = Field(default=1.0, gt=0, le=60)
    """Wait before a worker that has ended is started again; doubles until one lives for a minute."""
    restart_max_seconds: float = Field(default=30.0, gt=0, le=600)
    """Longest such wait."""


class Shutdown(_Group):
    """How a worker ends."""

    timeout_seconds: float = Field(default=30.0, gt=0, le=3600)
    """How long SIGTERM waits for what is in flight; what is left is read again after the next start."""


class Settings(BaseSettings):
    """All settings, by group."""

    model_config = SettingsConfigDict(
        env_prefix="LOGPIPE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    kafka: Kafka = Kafka()
    elasticsearch: Elasticsearch = Elasticsearch()
    events: Events = Events()
    index: Index = Index()
    metrics: Metrics = Metrics()
    traces: Traces = Traces()
    http: Http = Http()
    run: Run = Run()
    shutdown: Shutdown = Shutdown()

    config_file: ClassVar[Path | None] = None
    secrets_directory: ClassVar[Path | None] = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the interface's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - secret_files.py instead
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the configuration file below the environment."""
        secrets = SecretFiles(settings_cls, cls.secrets_directory)
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings, secrets]
        if cls.config_file is not None:
            source = (
                YamlConfigSettingsSource
                if cls.config_file.suffix in {".yaml", ".yml"}
                else TomlConfigSettingsSource
            )
            sources.append(source(settings_cls, cls.config_file))
        return tuple(sources)


_NOT_SETTINGS = {CONFIG_FILE_VARIABLE, LEASH_VARIABLE, SECRETS_DIRECTORY_VARIABLE, "LOGPIPE_SANDBOX_CACHE"}
# Whose value is shown in no message; also where a secret may be put by mistake.
_SECRET_NAMES = {"api_key", "password", "sasl_password", "headers", "ca_certs", "client_cert", "client_key"}


def load_settings(config: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings from all sources.

    `config` is a TOML or YAML file; without it `LOGPIPE_CONFIG`, then `./logpipe.toml` when it exists.
    `overrides` is a nested mapping of settings from the command line.

    Raises SettingsError, which names every wrong setting, its value and what is allowed.
    """
    file = config or _default_config_file()
    if file is not None and not file.is_file():
        raise SettingsError(f"the settings file {file} does not exist")
    if file is not None and file.suffix not in {".toml", ".yaml", ".yml"}:
        raise SettingsError(f"the settings file {file} is neither .toml nor .yaml")
    _refuse_unknown_variables()
    secrets = os.environ.get(SECRETS_DIRECTORY_VARIABLE)

    class _FromHere(Settings):
        config_file: ClassVar[Path | None] = file
        secrets_directory: ClassVar[Path | None] = Path(secrets) if secrets else None

    try:
        return _FromHere(**dict(overrides or {}))
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(line) for line in error.errors())) from None
    except PydanticSettingsError as error:
        raise SettingsError(f"a setting could not be read: {error.__cause__ or error}") from None
    except yaml.MarkedYAMLError as error:
        # Its text may quote the file, and so a secret in it.
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError(f"the settings file {file} could not be read: no valid YAML{line}") from None
    except (ValueError, OSError, yaml.YAMLError) as error:
        raise SettingsError(f"the settings file {file} could not be read: {error}") from None


def _default_config_file() -> Path | None:
    named = os.environ.get(CONFIG_FILE_VARIABLE)
    if named:
        return Path(named)
    return DEFAULT_CONFIG_FILE if DEFAULT_CONFIG_FILE.is_file() else None


def _refuse_unknown_variables() -> None:
    """Refuse a misspelt variable: pydantic-settings silently ignores unknown groups."""
    groups = tuple(f"LOGPIPE_{name.upper()}" for name in Settings.model_fields)
    for variable in sorted(os.environ):
        if (
            not variable.startswith("LOGPIPE_")
            or variable in _NOT_SETTINGS
            or variable.startswith("LOGPIPE_TEST_")
        ):
            continue
        if variable.split("__")[0] not in groups:
            raise SettingsError(
                f"{variable}: there is no such setting; variables are named LOGPIPE_<GROUP>__<SETTING>, "
                f"with the groups {', '.join(Settings.model_fields)}"
            )


def _explain(error: Any) -> str:
    """One line: the setting, its value, what is allowed."""
    location = ".".join(str(part) for part in error["loc"]) or "settings"
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        group = Settings.model_fields.get(str(error["loc"][0]))
        model = group.annotation if group else None
        names = (
            model.model_fields
            if isinstance(model, type) and issubclass(model, BaseModel)
            else Settings.model_fields
        )
        return f"{location}: there is no such setting; there are {', '.join(names)}"
    if _SECRET_NAMES.intersection(map(str, error["loc"])):
        return f"{location}: {message}"
    value = error["input"]
    # A rule about a whole group, or user:password@host: with secrets in the value only the rule is told.
    hidden = len(error["loc"]) == 1 or isinstance(value, Mapping | BaseModel) or "@" in str(value)
    shown = "" if hidden else f" = {value!r}"
    return f"{location}{shown}: {message}"
