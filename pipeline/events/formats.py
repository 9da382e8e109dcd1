"""Formats as data: what is read from `formats.toml` and a user's file, checked once, and looked up by root names."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipeline.errors import SettingsError
from pipeline.events.converters import CONVERTERS, LOSSLESS, Converter
from pipeline.events.field_paths import ABSENT, find

__all__ = ["ALIASES", "CANONICAL", "Format", "Formats", "Source", "load_formats"]

CANONICAL = (
    "timestamp",
    "level",
    "message",
    "service",
    "component",
    "trace_id",
    "span_id",
    "error.type",
    "error.message",
    "error.stack_trace",
    "host",
)
"""The fields that a format may say where to take from."""

ALIASES = "aliases"
_MOST_SHAPES = 4096
_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float),
    "object": (dict,),
    "list": (list,),
}


class Source(NamedTuple):
    """Where a field may be taken from."""

    path: str
    converter: Converter | None = None
    lossless: bool = True
    """Whether what is taken says all that was there, so that nothing has to stay."""

    @property
    def root(self) -> str:
        """The first of the path's names."""
        return self.path.partition(".")[0]

    def may_be_in(self, names: frozenset[str]) -> bool:
        """Tell whether there may be a value at this path in an event of these names at its root."""
        path = self.path
        end = len(path)
        while end != -1:
            if path[:end] in names:
                return True
            end = path.rfind(".", 0, end)
        return False


class Test(NamedTuple):
    """One look at a value."""

    path: str
    types: tuple[type, ...] = ()
    equals: Any = None

    def in_words(self) -> str:
        """Say what is looked for."""
        kinds = [name for name, types in _TYPES.items() if types == self.types]
        return f"{self.path} is {kinds[0] if kinds else repr(self.equals)}"

    def holds(self, event: dict[str, Any]) -> bool:
        """Look at an event."""
        value = find(event, self.path)
        if value is ABSENT:
            return False
        return type(value) in self.types if self.types else bool(value == self.equals)


@dataclass(frozen=True, slots=True)
class Format:
    """One format, as the reader uses it."""

    name: str
    title: str = ""
    has: frozenset[str] = frozenset()
    any_of: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    test: Test | None = None
    unwrap: tuple[str, ...] = ()
    split: str | None = None
    then: str | None = None
    take: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    shipper_time: frozenset[str] = frozenset()
    missing: Mapping[str, Any] = field(default_factory=dict)
    partial: tuple[tuple[str, Any], ...] = ()
    aside: tuple[str, ...] = ()
    has_in_order: tuple[str, ...] = ()

    def fits(self, names: frozenset[str]) -> bool:
        """Tell whether an event of these names at its root may be of this format."""
        return (
            bool(self.has or self.any_of)
            and self.has <= names
            and (not self.any_of or not self.any_of.isdisjoint(names))
            and self.lacks.isdisjoint(names)
        )


class Formats:
    """All formats, in the order in which they are tried."""

    def __init__(self, formats: Iterable[Format]) -> None:
        self.by_name = {each.name: each for each in formats}
        self.aliases = self.by_name.get(ALIASES, Format(ALIASES))
        self._recognisable = [each for each in self.by_name.values() if each.has or each.any_of]
        self._candidates: dict[frozenset[str], tuple[Format, ...]] = {}
        self._sources: dict[tuple[str, frozenset[str]], tuple[tuple[str, tuple[Source, ...]], ...]] = {}

    @cached_property
    def triggers(self) -> frozenset[str]:
        """Names at the root without which an event is the guide's: one of each format's, and all aliases."""
        usual = {*CANONICAL, "context", "tags"}
        names = {"error"}
        for each in self._recognisable:
            telling = [name for name in each.has_in_order if name not in usual]
            names.update(telling[:1] or each.any_of - usual)
        for source in chain.from_iterable(self.aliases.take.values()):
            names.update({source.path, source.root} - usual)
        return frozenset(names)

    @cached_property
    def splitting(self) -> frozenset[str]:
        """Names at the root of which events that hold several others have one."""
        names: set[str] = set()
        for each in self._recognisable:
            if each.split is not None:
                names.update(each.has_in_order[:1] or each.any_of)
        return frozenset(names)

    def sources(self, of: Format, names: frozenset[str]) -> tuple[tuple[str, tuple[Source, ...]], ...]:
        """Give for each field the sources that can be in an event of these names: the format's, then the aliases."""
        key = (of.name, names)
        found = self._sources.get(key)
        if found is None:
            if len(self._sources) >= _MOST_SHAPES:
                self._sources.clear()
            found = self._sources[key] = tuple(
                (name, tuple(filter(lambda source: source.may_be_in(names), self._all_sources(of, name))))
                for name in CANONICAL
            )
        return found

    def _all_sources(self, of: Format, name: str) -> tuple[Source, ...]:
        return tuple(dict.fromkeys((*of.take.get(name, ()), *self.aliases.take.get(name, ()))))

    def recognise(self, event: dict[str, Any]) -> Format | None:
        """Give the format of an event; None for the guide's, and for what is known by nothing."""
        for each in self.candidates(frozenset(event)):
            if each.test is None or each.test.holds(event):
                return each
        return None

    def candidates(self, names: frozenset[str]) -> tuple[Format, ...]:
        """Give the formats that events of these names may be of, up to the first that needs no look at a value."""
        found = self._candidates.get(names)
        if found is None:
            fitting: list[Format] = []
            for each in self._recognisable:
                if each.fits(names):
                    fitting.append(each)
                    if each.test is None:
                        break
            if len(self._candidates) >= _MOST_SHAPES:
                self._candidates.clear()
            found = self._candidates[names] = tuple(fitting)
        return found


# --- the file ---------------------------------------------------------------------------------------------


class _TestEntry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: str = Field(min_length=1)
    type: Literal["text", "number", "object", "list"] | None = Field(default=None, alias="is")
    equals: str | int | float | bool | None = None


class _Entry(BaseModel):
    """A format as a file says it."""

    model_config = ConfigDict(extra="forbid")

    title: str = ""
    has: list[str] = []
    any_of: list[str] = []
    lacks: list[str] = []
    test: _TestEntry | None = None
    unwrap: list[str] = []
    split: str | None = None
    then: str | None = None
    take: dict[str, list[str]] = {}
    shipper_time: list[str] = []
    missing: dict[str, str] = {}
    partial: dict[str, str | bool | int] = {}
    aside: list[str] = []

    @field_validator("take")
    @classmethod
    def _known(cls, take: dict[str, list[str]]) -> dict[str, list[str]]:
        for name, sources in take.items():
            if name not in CANONICAL:
                raise ValueError(
                    f"{name!r} is not a field that can be taken: there are {', '.join(CANONICAL)}"
                )
            for source in sources:
                path, _, converter = source.partition(" as ")
                if not path.strip() or (converter and converter.strip() not in CONVERTERS):
                    raise ValueError(
                        f"{name} = {source!r}: not `path` or `path as converter`; there are the converters "
                        f"{', '.join(sorted(CONVERTERS))}"
                    )
        return take


@lru_cache(64)
def load_formats(file: Path | None = None) -> Formats:
    """Read the formats that come along, and those of a user's file, which are tried first.

    Raises SettingsError, which names the file, the format and what is wrong with it.
    """
    shipped = _read(
        resources.files("pipeline.events").joinpath("formats.toml").read_text("utf-8"), "formats.toml"
    )
    own: dict[str, Format] = {}
    if file is not None:
        try:
            own = _read(file.read_text("utf-8"), str(file))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"the formats file {file} could not be read: {error}") from error
    new = {name: each for name, each in own.items() if name not in shipped}
    formats = Formats({**new, **shipped, **own}.values())
    for each in formats.by_name.values():
        if each.then is not None and each.then not in formats.by_name:
            raise SettingsError(f"the format {each.name} of {file}: then = {each.then!r} is not a format")
    return formats


def _read(text: str, origin: str) -> dict[str, Format]:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"the formats file {origin} is not TOML: {error}") from error
    found = {}
    for name, table in tables.items():
        try:
            found[name] = _compiled(name, _Entry.model_validate(table))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise SettingsError(
                f"the format {name} of {origin}: {where}: {first['msg'].removeprefix('Value error, ')}"
            ) from error
    return found


def _compiled(name: str, entry: _Entry) -> Format:
    test = entry.test
    return Format(
        name=name,
        title=entry.title,
        has=frozenset(entry.has),
        any_of=frozenset(entry.any_of),
        lacks=frozenset(entry.lacks),
        test=None if test is None else Test(test.path, _TYPES[test.type] if test.type else (), test.equals),
        unwrap=tuple(entry.unwrap),
        split=entry.split,
        then=entry.then,
        take={canonical: tuple(map(_source, sources)) for canonical, sources in entry.take.items()},
        shipper_time=frozenset(entry.shipper_time),
        missing={**entry.missing},
        partial=tuple(entry.partial.items()),
        aside=tuple(entry.aside),
        has_in_order=tuple(entry.has),
    )


def _source(text: str) -> Source:
    path, _, converter = (part.strip() for part in text.partition(" as "))
    if not converter:
        return Source(path)
    return Source(path, CONVERTERS[converter], converter in LOSSLESS)
