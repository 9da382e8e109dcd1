"""The picture of the house: the rooms of `pipeline/` by floors, and which imports which.

The floors are those of the import-linter contract in pyproject.toml, the arrows are the imports that grimp finds.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import grimp

from docs.source.svg import Box, arrow, box, label, picture

__all__ = ["floors", "imports", "rooms_picture"]

ROOT = Path(__file__).parents[2]
_ABOUT = {
    "cli": "the commands",
    "worker": "one and several",
    "shadow": "beside Logstash",
    "diagnostics": "a look inside",
    "backfill": "a window again",
    "audit": "the proof",
    "replay": "dead letters again",
    "probe": "one event through",
    "install": "setup and check",
    "traces": "a story a trace",
    "sample": "traffic",
    "bulk": "to Elasticsearch",
    "kafka": "in, commit, letters",
    "encode": "the hot path",
    "log_metrics": "metrics of events",
    "trace_stories": "the fold, pure",
    "telemetry": "its own metrics",
    "logstash": "its language, pure",
    "events": "the definition, pure",
    "settings": "every setting",
    "sandbox": "real servers here",
    "stopping": "when told to",
    "errors": "the exceptions",
    "version": "which one",
}
_WIDTH, _BOX_WIDTH, _BOX_HEIGHT, _FLOOR_HEIGHT, _MARGIN, _FAR = 880, 136, 46, 88, 24, 4


def floors() -> list[list[str]]:
    """Read the floors from the contract, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[room.strip() for room in floor.split("|")] for floor in layers]


def imports() -> dict[str, set[str]]:
    """Find which room imports which, without the imports inside a room."""
    graph = grimp.build_graph("pipeline", cache_dir=None)
    rooms = [room for floor in floors() for room in floor]
    for room in rooms:
        if graph.find_children(f"pipeline.{room}"):
            graph.squash_module(f"pipeline.{room}")
    found = {
        room: {
            name.removeprefix("pipeline.")
            for name in graph.find_modules_directly_imported_by(f"pipeline.{room}")
        }
        for room in rooms
    }
    return {room: (others & set(rooms)) - {room} for room, others in found.items()}


def _without_detours(direct: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """Leave out an arrow when others lead to the same room."""

    def reached(room: str) -> set[str]:
        return direct[room].union(*(reached(other) for other in direct[room]))

    return [
        (room, other)
        for room, others in direct.items()
        for other in sorted(others)
        if not any(other in reached(between) for between in others - {other})
    ]


def _arrow(start: Box, end: Box) -> str:
    """Draw an arrow downwards; one that would cross half the house goes around it, on the right."""
    if end.y - start.y > _FAR * _FLOOR_HEIGHT:
        edge = _WIDTH - _MARGIN / 2
        return arrow(start.right, (edge, start.right[1]), (edge, end.right[1]), end.right)
    return arrow(start.bottom, end.top, curved=True)


def rooms_picture() -> str:
    """Draw rooms and arrows, as SVG."""
    boxes: dict[str, Box] = {}
    house = floors()
    for level, floor in enumerate(house):
        space = (_WIDTH - len(floor) * _BOX_WIDTH) / (len(floor) + 1)
        for place, room in enumerate(floor):
            x = space + place * (_BOX_WIDTH + space)
            boxes[room] = Box(round(x), _MARGIN + level * _FLOOR_HEIGHT, _BOX_WIDTH, _BOX_HEIGHT)
    height = _MARGIN + len(house) * _FLOOR_HEIGHT
    return picture(
        _WIDTH,
        height,
        "The rooms of pipeline/ by floors; an arrow leads from a room to one that it imports",
        [
            *(
                _arrow(boxes[room], boxes[other])
                for room, other in _without_detours(imports())
                if other not in house[-1]
            ),
            *(box(at, room, [_ABOUT[room]]) for room, at in boxes.items()),
            label(
                _WIDTH / 2,
                height - 14,
                f"An arrow is an import. Left out: what other arrows imply, and those to {' and '.join(house[-1])}.",
                anchor="middle",
            ),
        ],
    )
