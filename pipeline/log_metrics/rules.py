"""The rules by which metrics are derived from events: what a rule may say, and what it means.

A rule's fields are `service`, `component`, `level`, any other name at the root of the document, or
`context.<name>`; they are read from the document as it is indexed, with level and times normalised.
"""

import math
import re
import tomllib
from functools import cached_property
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.errors import SettingsError
from pipeline.settings import Metrics

__all__ = ["MISSING", "OTHER", "UNKNOWN", "Label", "Rule", "chosen_rules", "label_text", "load_rules"]

MISSING: Final = object()
"""The value of a field that an event does not have."""
OTHER = "other"
UNKNOWN = "unknown"

_LONGEST_LABEL = 128
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 10.0, 30.0)
# What the pipeline writes into every document, behind the rules.
_ADDED = frozenset({"kafka", "service_name"})
_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]+")

Scalar = str | int | float | bool


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Condition(_Model):
    """What a field has to be; of the given tests every one has to hold."""

    exists: bool | None = None
    """Whether the field has to be there (and not null), or must not be."""
    equals: tuple[Scalar, ...] | None = None
    """The values of which it has to be one."""
    matches: str | None = None
    """A regular expression that has to be found in its text."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """Read `"x"` and `["x", "y"]` as the values that are wanted."""
        if isinstance(value, list):
            return {"equals": value}
        return value if isinstance(value, dict | Condition) else {"equals": [value]}

    @field_validator("matches")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value

    @cached_property
    def _expression(self) -> re.Pattern[str] | None:
        return None if self.matches is None else re.compile(self.matches)

    def holds(self, value: object) -> bool:
        """Test a field's value, which is MISSING for a field that is not there."""
        there = value is not MISSING and value is not None
        if self.exists is not None and self.exists != there:
            return False
        if self.equals is not None and not (there and value in self.equals):
            return False
        if self._expression is None:
            return True
        return isinstance(value, str) and self._expression.search(value) is not None


class Label(_Model):
    """Where a label's value comes from."""

    field: str | None = None
    """The field whose value it is."""
    constant: str | None = None
    """The value itself, instead."""
    default: str = UNKNOWN
    """The value for events without the field."""
    values: dict[str, str] | None = None
    """What the field's values become; `"*"` stands for any other, which is `other` without it."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """Read `"context.route"` as the field of that name."""
        return {"field": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.field is None) == (self.constant is None):
            raise ValueError("a label has either a field or a constant")
        return self

    def text(self, value: object) -> str:
        """Give the label's value for an event whose field has this value."""
        if self.constant is not None:
            return self.constant
        text = label_text(value)
        if text is None:
            return self.default
        if self.values is None:
            return text
        return self.values.get(text, self.values.get("*", OTHER))


class Rule(_Model):
    """One metric, or with others of the same name a part of it."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=200)
    """Prometheus' name; a counter's ends in `_total`."""
    type: Literal["counter", "gauge", "histogram"]
    """`counter`: events, or the sum of `value`. `gauge`: the value of the newest event. `histogram`: of values."""
    help: str = Field(min_length=1)
    """One sentence on what it counts or measures."""
    when: dict[str, Condition] = {}
    """Conditions by field; all have to hold. Without any, every event counts."""
    labels: dict[str, Label] = {}
    """Label names, and where their values come from."""
    value: str | None = None
    """The field that holds the number; a counter without it counts events."""
    scale: float = Field(default=1.0, gt=0)
    """What the number is multiplied by: 0.001 makes seconds of milliseconds."""
    buckets: tuple[float, ...] = _SECONDS
    """Upper bounds of a histogram's buckets, without the last, which is infinite."""
    max_label_sets: int = Field(default=500, ge=1, le=100_000)
    """Combinations of label values kept; the events of any more are counted under `other`."""
    expire_seconds: float = Field(default=300, gt=0)
    """Age of the newest event at which a gauge is not shown any more."""

    @field_validator("labels")
    @classmethod
    def _names_are_labels(cls, labels: dict[str, Label]) -> dict[str, Label]:
        for name in labels:
            if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", name) or name == "le":
                raise ValueError(f"{name!r} is not a label name")
        return labels

    @field_validator("buckets")
    @classmethod
    def _buckets_rise(cls, buckets: tuple[float, ...]) -> tuple[float, ...]:
        if not buckets or any(low >= high for low, high in pairwise(buckets)):
            raise ValueError("buckets have to rise, and there has to be one")
        if not math.isfinite(buckets[-1]):
            raise ValueError("the infinite bucket is there without being named")
        return buckets

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.type == "counter") != self.name.endswith("_total"):
            raise ValueError("a counter's name ends in _total, and no other's does")
        if self.type != "counter" and self.value is None:
            raise ValueError(f"a {self.type} needs the field of its value")
        if added := _ADDED.intersection({*self.fields, self.value}):
            raise ValueError(f"{min(added)} is added by the pipeline, and the same for all events")
        if self.name.startswith(("logpipe_", "process_", "log_errors_by_fingerprint", "log_new_errors")):
            raise ValueError("names of the pipeline's own metrics are taken")
        return self

    @property
    def fields(self) -> set[str]:
        """The fields that decide whether and where an event counts, without that of the number."""
        return {*self.when, *(label.field for label in self.labels.values() if label.field is not None)}

    def reads(self, field: str) -> bool:
        """Tell whether the rule looks at what the field's value is, not only at whether it is there."""
        condition = self.when.get(field)
        return any(label.field == field for label in self.labels.values()) or (
            condition is not None and (condition.equals is not None or condition.matches is not None)
        )


def label_text(value: object) -> str | None:
    """Give a JSON value as the text of a label; None for what is missing, null, or no scalar.

    Unprintable characters become one space, and what is longer than 128 characters is cut.
    """
    # Nearly always so; a flood of new label values would take a quarter longer without it.
    if type(value) is str and value.isprintable() and len(value) <= _LONGEST_LABEL:
        return value.strip() or None
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int or type(value) is float:
        return str(value)
    if type(value) is not str:
        return None
    return _NOT_PRINTABLE.sub(" ", value[:_LONGEST_LABEL]).strip() or None


def load_rules(file: Path | None = None) -> tuple[Rule, ...]:
    """Read the rules of a TOML file, or those the pipeline brings along.

    Raises SettingsError for a file that cannot be read, and for rules that contradict each other.
    """
    where = "metrics.rules_file" if file is None else f"metrics.rules_file = {file}"
    try:
        text = (file or resources.files("pipeline.log_metrics") / "default_metrics.toml").read_text("utf-8")
        found = tomllib.loads(text).get("rules", [])
    except OSError as error:
        raise SettingsError(f"{where}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{where}: is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{where}: is not TOML: {error}") from error
    rules = tuple([_rule(each, where) for each in found])
    _check_names(rules, where)
    return rules


def chosen_rules(settings: Metrics) -> tuple[Rule, ...]:
    """Give the rules that the settings leave.

    Raises SettingsError for those of `load_rules`, and for a name in `metrics.disabled` that no rule has.
    """
    rules = load_rules(settings.rules_file)
    unknown = set(settings.disabled).difference(rule.name for rule in rules)
    if unknown:
        raise SettingsError(f"metrics.disabled: there is no rule named {', '.join(sorted(unknown))}")
    return tuple(rule for rule in rules if rule.name not in settings.disabled)


def _rule(given: dict[str, Any], where: str) -> Rule:
    """Read a rule; of several mistakes the first is told."""
    try:
        return Rule.model_validate(given)
    except ValidationError as error:
        mistake = error.errors()[0]
        place = ", ".join(
            [str(given.get("name", "a rule")), *filter(None, [".".join(map(str, mistake["loc"]))])]
        )
        message = mistake["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{where}: {place}: {message}") from error


def _check_names(rules: tuple[Rule, ...], where: str) -> None:
    """Refuse rules that share a name but would not make one metric, and names a gauge needs for its time."""
    first: dict[str, Rule] = {}
    for rule in rules:
        other = first.setdefault(rule.name, rule)
        for about in ("type", "help", "buckets", "max_label_sets", "expire_seconds"):
            if getattr(rule, about) != getattr(other, about):
                raise SettingsError(f"{where}: {rule.name} has two rules that differ in {about}")
        if list(rule.labels) != list(other.labels):
            raise SettingsError(f"{where}: {rule.name} has two rules with different labels")
    for rule in first.values():
        if rule.type == "gauge" and f"{rule.name}_updated_timestamp_seconds" in first:
            raise SettingsError(f"{where}: {rule.name}_updated_timestamp_seconds is made by the pipeline")
