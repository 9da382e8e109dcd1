r"""Ruby's replacement texts: `\1`, `\k<name>`, `\0` in what `gsub` puts in."""

import re
from typing import Any, Final

__all__ = ["Replacement"]

_REFERENCE: Final = re.compile(r"\\(?:(\d)|k<([^>]*)>|([&\\`']))")


class Replacement:
    """A function of a match that gives what stands in its place; `names` as in Pattern, to find named groups."""

    __slots__ = ("_names", "_parts", "plain")

    def __init__(self, template: str, names: tuple[str, ...] = ()) -> None:
        self._names = names
        self.plain = None if "\\" in template else template
        parts: list[str | int | tuple[str]] = []
        place = 0
        for found in _REFERENCE.finditer(template):
            parts.append(template[place : found.start()])
            place = found.end()
            if found[1]:
                parts.append(int(found[1]))
            elif found[2] is not None:
                parts.append((found[2],))
            else:
                parts.append(0 if found[3] == "&" else "\\" if found[3] == "\\" else "")
        parts.append(template[place:])
        self._parts = parts

    def __call__(self, match: Any) -> str:
        """Fill in what the match has caught; a group that is not there is empty."""
        if self.plain is not None:
            return self.plain
        return "".join([part if isinstance(part, str) else self._caught(match, part) for part in self._parts])

    def _caught(self, match: Any, part: int | tuple[str]) -> str:
        group: int | str = part if isinstance(part, int) else part[0]
        if group in self._names:
            group = f"n{self._names.index(str(group))}"
        try:
            return match.group(group) or ""
        except (IndexError, KeyError):
            return ""
