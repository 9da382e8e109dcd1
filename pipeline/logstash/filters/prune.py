"""`prune`: fields of the first level go, by their names or values."""

from collections.abc import Mapping
from typing import Any, Final

from pipeline.logstash.fields import Event
from pipeline.logstash.interpolation import interpolate
from pipeline.logstash.options import Given, Option, scalar_text
from pipeline.logstash.patterns import Pattern
from pipeline.logstash.plugin import Change, Origin, Site

__all__ = ["OPTIONS", "build"]

OPTIONS: Final[Mapping[str, Option]] = {
    "interpolate": Option("boolean", False),
    "whitelist_names": Option("array", []),
    "blacklist_names": Option("array", [r"%\{[^}]+\}"]),
    "whitelist_values": Option("hash", {}),
    "blacklist_values": Option("hash", {}),
}


def build(given: Given, site: Site) -> Change:
    """Remove what no white list names, or what a black list names; a value that is no text raises TypeError."""
    dynamic = given["interpolate"]

    def patterns(name: str, event: Event) -> list[Pattern]:
        texts = given.texts(name)
        return [
            site.pattern(interpolate(event, text) if dynamic else text, given.place(name)) for text in texts
        ]

    def values(name: str, event: Event) -> list[tuple[str, Pattern]]:
        return [
            (
                interpolate(event, field) if dynamic else field,
                site.pattern(
                    interpolate(event, scalar_text(text)) if dynamic else scalar_text(text), given.place(name)
                ),
            )
            for field, text in given.pairs(name)
        ]

    fixed = None if dynamic else _Lists.of(patterns, values, {})

    def run(event: Event, _origin: Origin) -> bool:
        (fixed or _Lists.of(patterns, values, event)).prune(event)
        return True

    return Change(run)


class _Lists:
    """The four lists, compiled."""

    def __init__(
        self,
        kept: list[Pattern],
        removed: list[Pattern],
        kept_values: list[tuple[str, Pattern]],
        removed_values: list[tuple[str, Pattern]],
    ) -> None:
        self._kept = kept
        self._removed = removed
        self._values = [(kept_values, False), (removed_values, True)]

    @classmethod
    def of(cls, patterns: Any, values: Any, event: Event) -> "_Lists":
        """Compile the lists, filled in from an event if they are to be."""
        return cls(
            patterns("whitelist_names", event),
            patterns("blacklist_names", event),
            values("whitelist_values", event),
            values("blacklist_values", event),
        )

    def prune(self, event: Event) -> None:
        """Remove; all lists look at the event as it was."""
        gone: set[str] = set()
        shorter: dict[str, list[Any]] = {}
        for name in event:
            if name == "@metadata":
                continue
            if self._kept and not any(pattern.search(name) for pattern in self._kept):
                gone.add(name)
            if any(pattern.search(name) for pattern in self._removed):
                gone.add(name)
        for pairs, unwanted in self._values:
            for name, pattern in pairs:
                value = event.get(name)
                if value is None or value is False:
                    continue
                if value.__class__ is not list:
                    if _matches(pattern, value) is unwanted:
                        gone.add(name)
                    continue
                left = [inner for inner in value if _matches(pattern, inner) is not unwanted]
                if not left:
                    gone.add(name)
                elif len(left) < len(value):
                    shorter[name] = left
        event.update(shorter)
        for name in gone:
            event.pop(name, None)


def _matches(pattern: Pattern, value: Any) -> bool:
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__} cannot be matched")
    return pattern.search(value) is not None
