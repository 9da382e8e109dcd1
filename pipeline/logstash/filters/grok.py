"""`grok`: named parts of a text become fields, by patterns."""

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.logstash.fields import Event, Path as FieldPath, get, set_field, tag_failure
from pipeline.logstash.grok_library import GrokError, expand, patterns_of_file, standard_patterns
from pipeline.logstash.options import Given, Option, scalar_text
from pipeline.logstash.patterns import Pattern, PatternTimeout
from pipeline.logstash.plugin import Change, Origin, Site
from pipeline.logstash.ruby import hash_order, to_f, to_i, to_s

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "match": Option("hash", {}),
    "patterns_dir": Option("array", []),
    "patterns_files_glob": Option("string", "*"),
    "pattern_definitions": Option("hash", {}),
    "named_captures_only": Option("boolean", True),
    "keep_empty_captures": Option("boolean", False),
    "break_on_match": Option("boolean", True),
    "overwrite": Option("array", []),
    "target": Option("string"),
    "tag_on_failure": Option("array", ["_grokparsefailure"]),
    "tag_on_timeout": Option("string", "_groktimeout"),
    "timeout_millis": Option(
        "number",
        30_000,
        status="differs",
        note="The time is the processor's, and `filters.regex_timeout` is the most.",
    ),
    "timeout_scope": Option(
        "string",
        "pattern",
        choices=("pattern", "event"),
        status="differs",
        note="Each pattern has its own time.",
    ),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
}


@dataclass(frozen=True, slots=True)
class _Capture:
    """Where a group's text goes, as what, and whether it takes the place of what is there."""

    path: FieldPath
    convert: Callable[[str], Any] | None
    overwrite: bool

    @property
    def is_plain(self) -> bool:
        """Say whether the field may be set without a look at what it may hold."""
        return self.path[0] not in {"@timestamp", "@metadata", "tags"}


@dataclass(frozen=True, slots=True)
class _Grok:
    """A pattern, and for each group its field's parents, its name (None when it needs a check), and the rest."""

    search: Callable[[str], Any]
    places: tuple[tuple[FieldPath, str | None, Callable[[str], Any] | None, _Capture], ...]


def build(given: Given, site: Site) -> Change:
    """Match each field of `match` against its patterns."""
    patterns = _patterns(given, site)
    matches = [
        (
            site.path(field, given.place("match")),
            tuple(_grok(text, patterns, given, site) for text in _texts(value)),
        )
        for field, value in ((name, given["match"][name]) for name in hash_order(list(given["match"])))
    ]
    if not matches:
        raise given.position.error("`grok` needs the option `match`.")
    tags = given.texts("tag_on_failure")
    timeout_tag = given["tag_on_timeout"]
    first_only = given["break_on_match"]
    keep_empty = given["keep_empty_captures"]

    def run(event: Event, _origin: Origin) -> bool:
        matched = False
        try:
            for field, groks in matches:
                value = get(event, field)
                if value is None:
                    continue
                if value.__class__ is list:
                    several = [_match(event, groks, to_s(inner), first_only, keep_empty) for inner in value]
                    found = any(several)
                else:
                    found = _match(event, groks, to_s(value), first_only, keep_empty)
                if found:
                    matched = True
                    if first_only:
                        break
        except PatternTimeout:
            tag_failure(event, timeout_tag)
            return False
        if not matched:
            for tag in tags:
                tag_failure(event, tag)
        return matched

    return Change(run)


def _texts(value: Any) -> list[str]:
    return [scalar_text(text) for text in (value if isinstance(value, list) else [value])]


def _patterns(given: Given, site: Site) -> Mapping[str, str]:
    ecs = (given["ecs_compatibility"] or site.ecs) != "disabled"
    patterns = dict(standard_patterns(ecs=ecs))
    for name in given.texts("patterns_dir"):
        folder = Path(name) if Path(name).is_absolute() else site.directory / name
        if folder.is_file():
            patterns.update(patterns_of_file(folder))
            continue
        if not folder.is_dir():
            raise given.place("patterns_dir").error(f"The folder {folder} does not exist.")
        for file in sorted(folder.iterdir()):
            if file.is_file() and fnmatch.fnmatch(file.name, given["patterns_files_glob"]):
                patterns.update(patterns_of_file(file))
    patterns.update({name: scalar_text(value) for name, value in given.pairs("pattern_definitions")})
    return patterns


def _grok(text: str, patterns: Mapping[str, str], given: Given, site: Site) -> _Grok:
    place = given.place("match")
    try:
        expanded = expand(text, patterns, named_only=given["named_captures_only"])
    except GrokError as error:
        raise place.error(
            f"`{text[:200]}`: {error}.", "Define it in `pattern_definitions` or `patterns_dir`."
        ) from None
    pattern: Pattern = site.pattern(expanded, place, given["timeout_millis"] / 1000, dot_is_any=True)
    overwrite = {site.path(name, given.place("overwrite")) for name in given.texts("overwrite")}
    target = site.path(given["target"], given.place("target")) if given["target"] else ()
    captures = []
    for name in pattern.names:
        field, _colon, kind = name.partition(":")
        path = site.path(field, place)
        convert = {"int": to_i, "float": to_f}.get(kind)
        captures.append(
            _Capture((*target, *path), convert, (*target, *path) in overwrite or path in overwrite)
        )
    places = tuple(
        (
            capture.path[:-1] if capture.is_plain else (),
            capture.path[-1] if capture.is_plain else None,
            capture.convert,
            capture,
        )
        for capture in captures
    )
    return _Grok(pattern.search, places)


def _match(event: Event, groks: tuple[_Grok, ...], text: str, first_only: bool, keep_empty: bool) -> bool:
    """Try the patterns in order; without `break_on_match` the last of them decides, as in Logstash."""
    matched = False
    for grok in groks:
        found = grok.search(text)
        matched = found is not None
        if found is not None:
            for (parents, name, convert, capture), caught in zip(grok.places, found.groups(), strict=False):
                if not caught and not keep_empty:
                    continue
                # Hot: most captures are new fields. What is not goes the long way.
                holder = event
                for parent in parents:
                    inner = holder.get(parent)
                    if inner is None:
                        inner = holder[parent] = {}
                    elif inner.__class__ is not dict:
                        break
                    holder = inner
                else:
                    if name is not None and name not in holder:
                        holder[name] = caught if convert is None or caught is None else convert(caught)
                        continue
                _put(event, capture, caught)
            if first_only:
                break
    return matched


def _put(event: Event, capture: _Capture, caught: str | None) -> None:
    path = capture.path
    value: Any = caught if capture.convert is None or caught is None else capture.convert(caught)
    present = None if capture.overwrite else get(event, path)
    if present is None:
        set_field(event, path, value)
    elif present.__class__ is list:
        set_field(event, path, [*present, value])
    elif present.__class__ is str:
        set_field(event, path, [present, value])
