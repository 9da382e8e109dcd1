"""Index templates beside ours: which would win over it, which it cannot stand beside, which it would take over."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pipeline.install.resources import Resource

__all__ = ["conflicting_templates", "overriding_templates", "patterns_overlap", "templates_taken_over"]


def overriding_templates(
    templates: Iterable[Mapping[str, Any]], ours: Resource, index_name: str
) -> list[str]:
    """Describe the index templates that Elasticsearch would prefer to ours for an index of this name.

    templates -- `index_templates` of the answer to `GET _index_template`
    """
    found = []
    for entry in templates:
        body = entry["index_template"]
        priority, patterns = body.get("priority", 0), body["index_patterns"]
        if (
            entry["name"] != ours.name
            and priority > ours.body["priority"]
            and any(fnmatchcase(index_name, pattern) for pattern in patterns)
        ):
            found.append(_described(entry))
    return found


def conflicting_templates(templates: Iterable[Mapping[str, Any]], ours: Resource) -> list[str]:
    """Describe the index templates beside which ours cannot be: Elasticsearch refuses a second of the same priority.

    templates -- `index_templates` of the answer to `GET _index_template`
    """
    return [
        _described(entry)
        for entry in _overlapping(templates, ours)
        if entry["index_template"].get("priority", 0) == ours.body["priority"]
    ]


def templates_taken_over(templates: Iterable[Mapping[str, Any]], ours: Resource) -> list[str]:
    """Name the templates of longer prefixes that ours would win over, as earlier versions of setup installed them.

    templates -- `index_templates` of the answer to `GET _index_template`
    """
    return [
        entry["name"]
        for entry in _overlapping(templates, ours)
        if entry["name"].startswith(f"{ours.name}-")
        and f"{entry['name']}@mappings" in entry["index_template"].get("composed_of", ())
        and entry["index_template"].get("priority", 0) < ours.body["priority"]
    ]


def patterns_overlap(one: str, other: str) -> bool:
    """Tell whether there is a name that both match; `*` is the only wildcard that Elasticsearch knows."""
    # How much of each can have been matched by the same beginning of a name: walk through all such pairs.
    reachable = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        i, j = todo.pop()
        if i == len(one) and j == len(other):
            return True
        star, other_star = one[i : i + 1] == "*", other[j : j + 1] == "*"
        steps = [(i + 1, j)] if star else []  # the star is at its end …
        steps += [(i, j + 1)] if star and j < len(other) else []  # … or takes what is next in the other
        steps += [(i, j + 1)] if other_star else []
        steps += [(i + 1, j)] if other_star and i < len(one) else []
        if not star and not other_star and i < len(one) and j < len(other) and one[i] == other[j]:
            steps.append((i + 1, j + 1))
        todo += [step for step in steps if step not in reachable]
        reachable.update(steps)
    return False


def _overlapping(templates: Iterable[Mapping[str, Any]], ours: Resource) -> Iterable[Mapping[str, Any]]:
    for entry in templates:
        patterns = entry["index_template"]["index_patterns"]
        if entry["name"] != ours.name and any(
            patterns_overlap(theirs, mine) for theirs in patterns for mine in ours.body["index_patterns"]
        ):
            yield entry


def _described(entry: Mapping[str, Any]) -> str:
    body = entry["index_template"]
    return (
        f"{entry['name']} (priority {body.get('priority', 0)}, patterns {', '.join(body['index_patterns'])})"
    )
