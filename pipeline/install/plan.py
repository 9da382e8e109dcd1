"""What has to change on the server: wanted objects against those that are there, without any I/O."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.install.resources import Kind, Resource

__all__ = [
    "Change",
    "normal_form",
    "plan_changes",
    "self_contained",
    "without_dates",
]

# Elasticsearch 9.2 and later add these to what they are sent.
_ADDED_BY_SERVER = frozenset({"created_date", "created_date_millis", "modified_date", "modified_date_millis"})
# What ILM fills in when it reads a policy (LifecyclePolicy.toXContent of 9.1).
_ACTION_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "allocate": {"include": {}, "exclude": {}, "require": {}},
    "delete": {"delete_searchable_snapshot": True},
}
_KIND_NAMES = {
    Kind.POLICY: "ILM policy",
    Kind.COMPONENT: "component template",
    Kind.INDEX_TEMPLATE: "index template",
}


class Change(NamedTuple):
    """One object that is to be written, and how it differs from what is there."""

    resource: Resource
    creates: bool
    diff: str

    def __str__(self) -> str:
        """Give one line for a person."""
        return (
            f"{'create' if self.creates else 'update'} {_KIND_NAMES[self.resource.kind]} {self.resource.name}"
        )


def plan_changes(wanted: Sequence[Resource], current: Mapping[str, dict[str, Any] | None]) -> list[Change]:
    """Compare the wanted objects with the server's, which are given by path; None is for one it lacks."""
    changes = []
    for resource in wanted:
        before, after = current[resource.path], normal_form(resource.kind, resource.body)
        if before is None:
            changes.append(Change(resource, True, _diff(resource.path, None, after)))
        elif (there := normal_form(resource.kind, before)) != after:
            changes.append(Change(resource, False, _diff(resource.path, there, after)))
    return changes


def normal_form(kind: Kind, body: Mapping[str, Any]) -> dict[str, Any]:
    """Write an object the way in which what was sent and what is given back are equal.

    Elasticsearch gives settings back nested and as text, policies with defaults filled in, and some objects
    with the dates of their making.
    """
    normal = without_dates(body)
    if kind is Kind.POLICY:
        policy = dict(normal["policy"])
        policy["phases"] = {name: _normal_phase(phase) for name, phase in policy["phases"].items()}
        return {"policy": policy}
    template = normal.get("template")
    if template and "settings" in template:
        normal["template"] = {**template, "settings": dict(_flat_settings(template["settings"]))}
    return normal


def without_dates(body: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what Elasticsearch adds to an object and does not take back."""
    return {name: value for name, value in body.items() if name not in _ADDED_BY_SERVER}


def self_contained(resources: Sequence[Resource]) -> list[Resource]:
    """Give the index templates with the components among these resources written into them.

    So they can be tried on a server that does not have the components yet. Components that are not among the resources
    stay as they are named.
    """
    components = {one.name: one.body["template"] for one in resources if one.kind is Kind.COMPONENT}
    return [_with(one, components) for one in resources if one.kind is Kind.INDEX_TEMPLATE]


def _with(template: Resource, components: Mapping[str, Mapping[str, Any]]) -> Resource:
    names = template.body["composed_of"]
    content: dict[str, Any] = {}
    parts = [components[name] for name in names if name in components]
    for part in (*parts, template.body.get("template", {})):
        for section, values in part.items():
            # No two of ours have the same key, but for settings, whose keys are flat.
            content[section] = {**content.get(section, {}), **values}
    others = [name for name in names if name not in components]
    return Resource(
        template.kind, template.name, {**template.body, "composed_of": others, "template": content}
    )


def _normal_phase(phase: Mapping[str, Any]) -> dict[str, Any]:
    actions = {name: {**_ACTION_DEFAULTS.get(name, {}), **body} for name, body in phase["actions"].items()}
    return {"min_age": "0ms", **phase, "actions": actions}


def _flat_settings(settings: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in settings.items():
        path = f"{before}{name}"
        if isinstance(value, Mapping):
            yield from _flat_settings(value, f"{path}.")
        else:
            full = path if path.startswith("index.") else f"index.{path}"
            yield full, [_as_text(item) for item in value] if isinstance(value, list) else _as_text(value)


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _diff(path: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    lines = difflib.unified_diff(
        [] if before is None else _lines(before),
        _lines(after),
        fromfile="nothing" if before is None else f"server/{path}",
        tofile=f"setup/{path}",
        lineterm="",
    )
    return "\n".join(lines)


def _lines(body: Mapping[str, Any]) -> list[str]:
    return json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
