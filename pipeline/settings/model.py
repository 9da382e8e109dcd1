"""All settings, by group, and the sources that they come from.

The first source that names a setting wins: command-line options, environment variables
(`LOGPIPE_KAFKA__TOPICS=a,b`), secret files (`LOGPIPE_SECRETS_DIR`, see `secret_files.py`), the TOML or YAML
file, what `implied` says, the default.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
    YamlConfigSettingsSource,
)

from pipeline.settings.elasticsearch import Elasticsearch
from pipeline.settings.events import Events
from pipeline.settings.filters import Filters
from pipeline.settings.index import Index
from pipeline.settings.inputs import Input
from pipeline.settings.kafka import Kafka, is_own_topic
from pipeline.settings.log import Log
from pipeline.settings.metrics import Metrics
from pipeline.settings.otlp import Otlp
from pipeline.settings.processes import Http, Run, Shutdown
from pipeline.settings.salvage import Salvage
from pipeline.settings.secret_files import SecretFiles
from pipeline.settings.traces import Traces
from pipeline.settings.waiting import DeadLetterLimit, IndexWait

__all__ = ["Settings"]


class Settings(BaseSettings):
    """All settings, by group."""

    model_config = SettingsConfigDict(
        env_prefix="LOGPIPE_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    kafka: Kafka = Kafka()
    elasticsearch: Elasticsearch = Elasticsearch()
    index_wait: IndexWait = IndexWait()
    dead_letters: DeadLetterLimit = DeadLetterLimit()
    events: Events = Events()
    inputs: dict[str, Input] = {}
    """What is known of the records of a topic, by its name or a pattern such as `syslog-*`."""
    filters: Filters = Filters()
    index: Index = Index()
    salvage: Salvage = Salvage()
    metrics: Metrics = Metrics()
    traces: Traces = Traces()
    otlp: Otlp = Otlp()
    log: Log = Log()
    http: Http = Http()
    run: Run = Run()
    shutdown: Shutdown = Shutdown()

    @model_validator(mode="after")
    def _own_topics_are_not_read(self) -> Self:
        """Refuse what would go round in circles: a letter that is read and refused makes another letter."""
        prefix = self.index.prefix
        for topic in self.kafka.topics:
            if topic.startswith(f"{prefix}.") and is_own_topic(topic):
                raise ValueError(
                    f"kafka.topics names {topic}, which is the pipeline's own (index.prefix = {prefix}) and never "
                    "read; `logpipe dlq replay` indexes dead letters"
                )
        return self

    config_file: ClassVar[Path | None] = None
    implied: ClassVar[Mapping[str, Any]] = {}
    """What holds where no other source says anything: the inputs and outputs of a Logstash configuration."""
    secrets_directory: ClassVar[Path | None] = None

    @model_validator(mode="after")
    def _every_day_of_the_window_is_open(self) -> "Settings":
        least = self.events.retention_days + math.ceil(self.events.max_future_seconds / 86_400) + 3
        if self.index.roll == "day" and self.index.max_open_days < least:
            raise ValueError(
                f"index.max_open_days = {self.index.max_open_days} is too small: with "
                f"events.retention_days = {self.events.retention_days} and events.max_future_seconds = "
                f"{self.events.max_future_seconds} events of {least} days can arrive within one day"
            )
        return self

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
        if cls.implied:
            sources.append(InitSettingsSource(settings_cls, dict(cls.implied)))
        return tuple(sources)
