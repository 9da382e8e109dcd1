"""The objects that Elasticsearch is to hold, read from the JSON files of `mappings/` and `ilm/`."""

import json
from collections.abc import Mapping
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.settings import Index

__all__ = ["Kind", "Resource", "load_resources", "resource_file"]

# The name that the files are written for; another `index.prefix` takes its place.
_PREFIX = "claude-code-bot"
# The longer of two prefixes wins where the patterns of both match, as those of `logs` and `logs-2` do for the indices
# of `logs-2`: a priority is 500 and the length of the prefix, and one more for the indices without a day. The files
# hold that of theirs.
_LIFECYCLE = f"{_PREFIX}@lifecycle"
_SETTINGS = f"{_PREFIX}@settings"
_UNDATED = f"{_PREFIX}.undated"
_TRACES = f"{_PREFIX}.traces"


class Kind(StrEnum):
    """What an object is; the value is the path under which Elasticsearch keeps objects of this kind."""

    POLICY = "_ilm/policy"
    COMPONENT = "_component_template"
    INDEX_TEMPLATE = "_index_template"


class Resource(NamedTuple):
    """One object: the body is that of the PUT request that installs it."""

    kind: Kind
    name: str
    body: dict[str, Any]

    @property
    def path(self) -> str:
        """Where the server keeps it."""
        return f"{self.kind}/{self.name}"


def load_resources(
    index: Index, *, lifecycle: bool = True, index_settings: Mapping[str, str] | None = None
) -> list[Resource]:
    """Return what `setup` installs, in the order in which it has to be installed.

    index -- its prefix and its way of rolling choose names and the lifecycle component, the rest shards and storage
    lifecycle -- False leaves out the policy and all that refers to it, for a server without ILM
    index_settings -- index settings that win over those of the files
    """
    settings = _load("mappings", _SETTINGS)
    settings["template"]["settings"]["index.number_of_shards"] = index.shards
    if index.storage == "logsdb":
        settings["template"]["settings"]["index.mode"] = "logsdb"
    settings["template"]["settings"].update(index_settings or {})
    template = _load("mappings", _PREFIX)
    found = [
        Resource(Kind.COMPONENT, _SETTINGS, settings),
        Resource(Kind.COMPONENT, f"{_PREFIX}@mappings", _load("mappings", f"{_PREFIX}@mappings")),
    ]
    if lifecycle:
        file = f"{_LIFECYCLE}-ilm" if index.roll == "ilm" else _LIFECYCLE
        found.insert(0, Resource(Kind.POLICY, f"{_PREFIX}-policy", _load("ilm", f"{_PREFIX}-policy")))
        found.append(Resource(Kind.COMPONENT, _LIFECYCLE, _load("mappings", file)))
    else:
        template["composed_of"].remove(_LIFECYCLE)
    fingerprints = f"{_PREFIX}.fingerprints"
    found.append(Resource(Kind.INDEX_TEMPLATE, fingerprints, _load("mappings", fingerprints)))
    found += _traces(index_settings or {}, lifecycle=lifecycle)
    # Of a higher priority: the day's template matches these names too, and its lifecycle refuses one without a date.
    found.append(Resource(Kind.INDEX_TEMPLATE, _UNDATED, _load("mappings", _UNDATED)))
    found.append(Resource(Kind.INDEX_TEMPLATE, _PREFIX, template))
    return [_renamed(resource, index.prefix) for resource in found]


def resource_file(folder: str, name: str) -> Traversable:
    """Find a file of `mappings/` or `ilm/`: inside an installed package, else beside it in a checkout."""
    packaged = files("pipeline") / "resources" / folder
    root = packaged if packaged.is_dir() else Path(__file__).parents[2] / folder
    return root / f"{name}.json"


def _load(folder: str, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(resource_file(folder, name).read_text("utf-8"))
    return body


def _traces(index_settings: Mapping[str, str], *, lifecycle: bool) -> list[Resource]:
    """Give what the trace summaries need: their indices are daily ones, however those of the logs roll."""
    body = _load("mappings", _TRACES)
    if "index.codec" in index_settings:
        body["template"]["settings"]["index.codec"] = index_settings["index.codec"]
    template = Resource(Kind.INDEX_TEMPLATE, _TRACES, body)
    component = f"{_TRACES}@lifecycle"
    if lifecycle:
        return [Resource(Kind.COMPONENT, component, _load("mappings", component)), template]
    body["composed_of"].remove(component)
    return [template]


def _renamed(resource: Resource, prefix: str) -> Resource:
    body = _rename(resource.body, prefix)
    if resource.kind is Kind.INDEX_TEMPLATE:
        body["priority"] += len(prefix) - len(_PREFIX)
    return Resource(resource.kind, _rename(resource.name, prefix), body)


def _rename(value: Any, prefix: str) -> Any:
    """Put `prefix` where names of ours begin: patterns, components, the policy, the alias."""
    if isinstance(value, str):
        return prefix + value.removeprefix(_PREFIX) if value.startswith(_PREFIX) else value
    if isinstance(value, list):
        return [_rename(item, prefix) for item in value]
    if isinstance(value, dict):
        return {name: _rename(item, prefix) for name, item in value.items()}
    return value
