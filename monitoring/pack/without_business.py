"""The pack without the guide's business: what asks for integrations, webhooks, Claude or GitHub is left out.

Each kind of file by its own unit: a rule, a query or panel of Grafana, a panel of Kibana (those left grow to fill their
line), a page of the runbooks and what leads there, a manifest and the line that names it.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

from monitoring.grafana.source.links import page_of

__all__ = ["retiled", "without_business"]

Json = dict[str, Any]

# Metrics, recorded series, components and fields of the guide's business, and what its events say. Alertmanager calls a
# way to tell somebody an `integration`, which is something else.
_ASKED: Final = re.compile(
    r"integrations_|integration_(stage|service|type|id)|(claude|github)_api|webhook_|webhooks_|code_review"
    r"|context\.stage|Integration (created|failed)"
)
_COMPANIES: Final = re.compile(r"\bClaude\b(?! Code Bot)|CLAUDE_|anthropic|GitHub|GITHUB_|github\.com")
_FULL_CHECK: Final = "synthetic-monitor-full"
_HEAD: Final = re.compile(r"^(?P<indent>      )- (?:record|alert): (?P<name>\S+)|^(?P<group>  )- name:")
_GRAFANAS_COLUMNS: Final = 24
_KIBANAS_COLUMNS: Final = 48


def without_business(files: dict[str, str]) -> dict[str, str]:
    """Leave the business out of the files of a pack (path -> text), which are written with the guide's values."""
    gone: set[str] = set()
    made: dict[str, str] = {}
    for path, text in files.items():
        if path.startswith("monitoring/prometheus/rules/"):
            made[path], dropped = _rules(text)
            gone |= dropped
    pages = {page_of(alert) for alert in gone}
    for path, text in files.items():
        if (
            path in made
            or path in {f"monitoring/runbooks/{page}.md" for page in pages}
            or _FULL_CHECK in path
        ):
            continue
        if path.startswith("monitoring/grafana/dashboards/"):
            made[path] = _dashboard(text, gone)
        elif path.endswith(".ndjson"):
            made[path] = "".join(f"{_json(_kibana(json.loads(line)))}\n" for line in text.splitlines())
        elif path.endswith(".md"):
            made[path] = _page(text, pages)
        else:
            made[path] = _lines(text, gone)
    return made


def retiled(grids: Iterable[tuple[int, Json]], columns: int) -> None:
    """Let what is left of each line fill it, and the lines below move up; grids (with their line) are changed."""
    top = 0
    for _, line in groupby(grids, key=lambda one: one[0]):
        left = [grid for _, grid in line]
        wide = sum(grid["w"] for grid in left)
        x = 0
        for number, grid in enumerate(left):
            width = columns - x if number == len(left) - 1 else grid["w"] * columns // wide
            grid |= {"x": x, "y": top, "w": width}
            x += width
        top += max(grid["h"] for grid in left)


def _rules(text: str) -> tuple[str, set[str]]:
    """Leave out rules, and groups of which none is left; give the names of what is gone as well."""
    preamble, blocks = _blocks(text.splitlines(keepends=True))
    gone: set[str] = set()
    kept: list[tuple[str | None, str]] = []
    for name, block in blocks:
        if name is not None and _ASKED.search(block):
            gone.add(name)
        else:
            kept.append((name, block))
    followed = [*kept[1:], (None, "")]
    left = [block for (name, block), after in zip(kept, followed, strict=True) if name or after[0]]
    return preamble + "".join(left).rstrip("\n") + "\n", gone


def _blocks(lines: list[str]) -> tuple[str, list[tuple[str | None, str]]]:
    """Cut a file of rules into what is before its groups, and heads of groups (None) and rules with their comments."""
    starts: list[tuple[int, str | None]] = []
    for number, line in enumerate(lines):
        if head := _HEAD.match(line):
            indent = head["indent"] or head["group"]
            while re.match(rf"{indent}#", lines[number - 1]):
                number -= 1  # noqa: PLW2901 - up to the first line of the comment
            starts.append((number, head["name"]))
    ends = [*(start for start, _ in starts[1:]), len(lines)]
    blocks = [(name, "".join(lines[start:end])) for (start, name), end in zip(starts, ends, strict=True)]
    return "".join(lines[: starts[0][0]]), blocks


def _dashboard(text: str, gone: set[str]) -> str:
    board = json.loads(text)
    pages = {page_of(alert) for alert in gone}
    panels: list[Json] = []
    for panel in board["panels"]:
        queries = panel.get("targets")
        if queries:
            panel["targets"] = [query for query in queries if not _ASKED.search(json.dumps(query))]
            if not panel["targets"]:
                continue
            _forget_alerts(panel, gone, pages)
        panels.append(panel)
    # A heading is left while something stands below it.
    followed = [*panels[1:], {"type": "row"}]
    board["panels"] = [
        panel
        for panel, after in zip(panels, followed, strict=True)
        if panel["type"] != "row" or after["type"] != "row"
    ]
    retiled([(panel["gridPos"]["y"], panel["gridPos"]) for panel in board["panels"]], _GRAFANAS_COLUMNS)
    _forget_variables(board)
    return json.dumps(board, indent=2, ensure_ascii=False) + "\n"


def _forget_alerts(panel: Json, gone: set[str], pages: set[str]) -> None:
    if "links" in panel:
        panel["links"] = [one for one in panel["links"] if one["url"].rpartition("/")[2] not in pages]
    for override in panel.get("fieldConfig", {}).get("overrides", []):
        for setting in override["properties"]:
            if setting["id"] == "mappings":
                for mapping in setting["value"]:
                    left = {name: one for name, one in mapping["options"].items() if name not in gone}
                    mapping["options"] = left


def _forget_variables(board: Json) -> None:
    """Leave out choices and texts that nothing asks for any more."""
    used = set(
        re.findall(
            r"\$\{?([a-z][a-z_]*)", json.dumps([board["panels"], board["links"], board["annotations"]])
        )
    )
    variables = board["templating"]["list"]
    board["templating"]["list"] = [one for one in variables if one["name"] in used]


def _kibana(one: Json) -> Json:
    attributes = one["attributes"]
    if "columns" in attributes:
        attributes["columns"] = [name for name in attributes["columns"] if not _ASKED.search(name)]
    if one["type"] == "dashboard":
        panels = json.loads(attributes["panelsJSON"])
        left = [panel for panel in panels if not _ASKED.search(_json(panel))]
        retiled([(panel["gridData"]["y"], panel["gridData"]) for panel in left], _KIBANAS_COLUMNS)
        attributes["panelsJSON"] = _json(left)
        dropped = {panel["panelIndex"] for panel in panels} - {panel["panelIndex"] for panel in left}
        one["references"] = [each for each in one["references"] if each["name"].split(":")[0] not in dropped]
    return one


def _page(text: str, pages: set[str]) -> str:
    """Leave out of a page each command, row, item and paragraph that is about the business or leads to its pages."""
    leads = re.compile("|".join(rf"\({page}\.md\)" for page in sorted(pages)))
    return "".join(
        unit
        for unit in _units(text)
        if not (_COMPANIES.search(unit) or leads.search(unit) or _FULL_CHECK in unit)
    )


def _units(text: str) -> Iterator[str]:
    """Cut a page into commands of its blocks, rows of its tables, items of its lists, and paragraphs."""
    held = ""
    fenced = False
    for line in text.splitlines(keepends=True):
        if line.startswith("```"):
            fenced = not fenced
            alone = True
        elif fenced:
            alone = not held.endswith("\\\n")
        else:
            alone = (
                not line.strip()
                or line.startswith(("|", "- ", "#"))
                or held.startswith(("\n", "|", "#", "```"))
            )
        if alone and held:
            yield held
            held = ""
        held += line
    yield held


def _lines(text: str, gone: set[str]) -> str:
    """Leave out the lines that name the check of a whole integration, and alerts among the names of others."""
    for alert in gone:
        text = text.replace(f"{alert}|", "").replace(f"|{alert}", "")
    return "".join(line for line in text.splitlines(keepends=True) if _FULL_CHECK not in line)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
