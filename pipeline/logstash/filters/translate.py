"""`translate`: a value is looked up in a dictionary."""

import csv
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
import yaml

from pipeline.logstash.fields import MISSING, Event, Path, copy_value, find, get, set_field
from pipeline.logstash.interpolation import interpolate
from pipeline.logstash.options import Given, Option
from pipeline.logstash.plugin import Change, Origin, Site
from pipeline.logstash.ruby import hash_order, to_s

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "source": Option("string"),
    "field": Option("string"),
    "target": Option("string"),
    "destination": Option("string"),
    "dictionary": Option("hash", {}),
    "dictionary_path": Option("string"),
    "exact": Option("boolean", True),
    "regex": Option("boolean", False),
    "override": Option("boolean"),
    "fallback": Option("string"),
    "iterate_on": Option("string"),
    "refresh_interval": Option(
        "number",
        300,
        status="differs",
        note="The file is read at start: a replay has to see the same dictionary.",
    ),
    "refresh_behaviour": Option(
        "string", "merge", choices=("merge", "replace"), status="ignored", note="See above."
    ),
    "yaml_dictionary_code_point_limit": Option("number", status="ignored", note="There is no limit."),
    "yaml_load_strategy": Option("string", status="ignored", note="The whole file is read."),
    "ecs_compatibility": Option("string", choices=("disabled", "v1", "v8")),
}


def build(given: Given, site: Site) -> Change:
    """Look a field up and set another, or itself."""
    name = given["source"] or given["field"]
    if not name:
        raise given.position.error("`translate` needs the option `source`.")
    ecs = (given["ecs_compatibility"] or site.ecs) != "disabled"
    target_name = given["target"] or given["destination"] or (name if ecs else "translation")
    source = site.path(name, given.position)
    target = site.path(target_name, given.position)
    override = given["override"] if given["override"] is not None else source == target
    look_up = _look_up(_dictionary(given, site), given, site)
    fallback = given["fallback"]
    if fallback is not None:
        site.template(fallback, given.place("fallback"))

    def translated(event: Event, value: Any) -> Any:
        if value.__class__ is list:
            if not value:
                return MISSING
            value = value[0]
        found = look_up(to_s(value)) if value.__class__ is not dict else MISSING
        if found is MISSING and fallback is not None:
            return interpolate(event, fallback)
        return copy_value(found)

    def one(event: Event, holder: Event, source: Path, target: Path) -> bool:
        value = find(holder, source)
        if value is MISSING or (not override and find(holder, target) is not MISSING):
            return False
        found = translated(event, value)
        if found is MISSING:
            return False
        set_field(holder, target, found)
        return True

    if given["iterate_on"] is None:
        return Change(lambda event, _origin: one(event, event, source, target))
    return Change(
        _iterated(site.path(given["iterate_on"], given.place("iterate_on")), source, target, one, translated)
    )


def _iterated(
    items: Path,
    source: Path,
    target: Path,
    one: Callable[[Event, Event, Path, Path], bool],
    translated: Callable[[Event, Any], Any],
) -> Callable[[Event, Origin], bool]:
    """Go over a list: of values when it is the source itself, else of objects."""

    def run(event: Event, _origin: Origin) -> bool:
        values = get(event, items)
        if values.__class__ is not list or not values:
            return False
        if items == source:
            found = [translated(event, value) for value in values]
            if all(value is MISSING for value in found):
                return False
            set_field(event, target, [None if value is MISSING else value for value in found])
            return True
        changed = [one(event, inner, source, target) for inner in values if inner.__class__ is dict]
        return any(changed)

    return run


def _dictionary(given: Given, site: Site) -> dict[str, Any]:
    if given["dictionary_path"] is None:
        return {name: given["dictionary"][name] for name in hash_order(list(given["dictionary"]))}
    place = given.place("dictionary_path")
    if given["dictionary"]:
        raise place.error("`translate` takes `dictionary` or `dictionary_path`, not both.")
    path = site.file(given["dictionary_path"], place)
    text = path.read_text(encoding="utf-8-sig")
    try:
        if path.suffix in {".yml", ".yaml"}:
            content = yaml.safe_load(text) or {}
        elif path.suffix == ".json":
            content = orjson.loads(text)
        elif path.suffix == ".csv":
            content = {row[0]: row[1] for row in csv.reader(text.splitlines()) if len(row) > 1}
        else:
            raise place.error(
                f"The dictionary {path} is none that is known.", "It ends in .yml, .json or .csv."
            )
    except (yaml.YAMLError, ValueError) as error:
        raise place.error(f"The dictionary {path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise place.error(f"The dictionary {path} is no object.")
    return {to_s(name): value for name, value in content.items()}


def _look_up(dictionary: dict[str, Any], given: Given, site: Site) -> Callable[[str], Any]:
    place = given.place("dictionary")
    if not given["exact"]:
        return _replaced(dictionary, site, given)
    if not given["regex"]:
        return lambda text: dictionary.get(text, MISSING)
    patterns = [(site.pattern(expression, place), value) for expression, value in dictionary.items()]

    def first_match(text: str) -> Any:
        return next((value for pattern, value in patterns if pattern.search(text) is not None), MISSING)

    return first_match


def _replaced(dictionary: dict[str, Any], site: Site, given: Given) -> Callable[[str], Any]:
    """Replace each key within the text; what stays as it was counts as not found."""
    if not dictionary:
        return lambda _text: MISSING
    keys = "|".join(
        "".join(f"\\{c}" if not c.isalnum() and c.isascii() and c != "_" else c for c in k)
        for k in dictionary
    )
    pattern = site.pattern(f"(?:{keys})", given.place("dictionary"))

    def replaced(text: str) -> Any:
        changed = pattern.substitute(lambda match: to_s(dictionary.get(match.group(), match.group())), text)
        return changed if changed != text else MISSING

    return replaced
