"""The values of a pack: read from TOML, and refused with the name of what is wrong."""

import tomllib
import zoneinfo
from datetime import time
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.errors import SettingsError

__all__ = ["DAYS", "GUIDE", "BusinessHours", "Values", "load_values"]

GUIDE: Final = Path(__file__).parents[1] / "values.toml"

DAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
"""As PromQL numbers them."""

_Day = Literal["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
# What is a label's value, a name in Kubernetes and a part of a file's name alike; and quotes nowhere.
_Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
_Url = Annotated[str, Field(pattern=r"^https?://[^\s\"'\\#?]*[^\s\"'\\#?/]$")]
_Text = Annotated[str, Field(pattern=r"^[^\"'\\\n{}<>]+$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Product(_Model):
    """What the product is called."""

    title: _Text
    name: _Name
    namespace: _Name
    uid_prefix: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$")]
    business: bool


class Services(_Model):
    """Services that commands of the runbooks are about."""

    api: _Name
    worker: _Name
    webhooks: _Name


class Logs(_Model):
    """Where the pipeline reads, and where its documents are."""

    index_prefix: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=200)]
    topic: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]+$", max_length=249)]


class Urls(_Model):
    """Addresses, without a slash at the end."""

    runbook_base_url: _Url
    api: _Url
    api_path: Annotated[str, Field(pattern=r"^/[\w/.-]*\w$")]
    staging: _Url
    watchdog: _Url


class Synthetic(_Model):
    """What the checks from outside need."""

    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]


class Slack(_Model):
    """Channels."""

    critical: Annotated[str, Field(pattern=r"^#[\w-]+$")]
    warnings: Annotated[str, Field(pattern=r"^#[\w-]+$")]


class BusinessHours(_Model):
    """From one day of the week to another, from one time of the day to another, by the clock of a zone."""

    time_zone: str
    first_day: _Day
    last_day: _Day
    begin: time = Field(alias="from")
    end: time = Field(alias="to")
    years: tuple[int, int]

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is not a time zone, such as Europe/Berlin") from error
        return name

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if DAYS.index(self.first_day) > DAYS.index(self.last_day):
            raise ValueError("first_day comes after last_day; a week begins on sunday")
        if self.begin >= self.end:
            raise ValueError("`from` is not before `to`: hours over midnight are not supported")
        if self.years[0] > self.years[1]:
            raise ValueError("the first of the years comes after the last")
        return self


class Values(_Model):
    """Everything that is named after the product."""

    product: Product
    services: Services
    logs: Logs
    urls: Urls
    synthetic: Synthetic
    slack: Slack
    business_hours: BusinessHours


def load_values(file: Path) -> Values:
    """Read a file of values.

    Raises SettingsError when it cannot be read, lacks a value, or has one that is not possible.
    """
    try:
        return Values.model_validate(tomllib.loads(file.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        )
        raise SettingsError(f"{file}: {wrong}") from error
