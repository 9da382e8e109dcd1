"""SVG that can be read on light and on dark pages: boxes, texts and arrows, coloured by one style sheet."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

__all__ = ["Box", "arrow", "box", "frame", "label", "picture"]

_STYLE = """
:root { color-scheme: light dark; }
.page { fill: #ffffff; }
.box { fill: #eef4ff; stroke: #2563eb; stroke-width: 1.3; }
.quiet { fill: #f4f4f5; stroke: #71717a; stroke-width: 1.3; }
.frame { fill: none; stroke: #a1a1aa; stroke-dasharray: 5 4; }
.name { fill: #18181b; font-weight: 600; }
.text { fill: #52525b; }
.line { fill: none; stroke: #52525b; stroke-width: 1.4; }
.tip { fill: #52525b; }
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.text { font-size: 11.5px; }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117; }
  .box { fill: #10233f; stroke: #60a5fa; }
  .quiet { fill: #1f2329; stroke: #a1a1aa; }
  .frame { stroke: #71717a; }
  .name { fill: #f4f4f5; }
  .text { fill: #c4c4cc; }
  .line { stroke: #c4c4cc; }
  .tip { fill: #c4c4cc; }
}
"""
_LINE_HEIGHT = 16


class Box(NamedTuple):
    """A rectangle, in pixels; `middle`, `left` … are the points at which arrows end."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> tuple[float, float]:
        """Give the middle of the left edge."""
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> tuple[float, float]:
        """Give the middle of the right edge."""
        return self.x + self.width, self.y + self.height / 2

    @property
    def top(self) -> tuple[float, float]:
        """Give the middle of the upper edge."""
        return self.x + self.width / 2, self.y

    @property
    def bottom(self) -> tuple[float, float]:
        """Give the middle of the lower edge."""
        return self.x + self.width / 2, self.y + self.height


def picture(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """Put parts onto a page of their own colour; `title` is what a screen reader says."""
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
                f'height="{height:g}" role="img">'
            ),
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            (
                '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
                'orient="auto-start-reverse"><path class="tip" d="M0 0.5 L8 4 L0 7.5 z"/></marker></defs>'
            ),
            f'<rect class="page" width="{width:g}" height="{height:g}" rx="8"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def box(at: Box, name: str, lines: Sequence[str] = (), *, quiet: bool = False) -> str:
    """Draw a box with a name and smaller lines below it, all in its middle."""
    x = at.x + at.width / 2
    y = at.y + at.height / 2 - len(lines) * _LINE_HEIGHT / 2 + 4.5
    texts = [f'<text class="name" x="{x:g}" y="{y:g}" text-anchor="middle">{escape(name)}</text>']
    texts += [
        f'<text class="text" x="{x:g}" y="{y + (n + 1) * _LINE_HEIGHT:g}" text-anchor="middle">'
        f"{escape(line)}</text>"
        for n, line in enumerate(lines)
    ]
    kind = "quiet" if quiet else "box"
    rect = (
        f'<rect class="{kind}" x="{at.x:g}" y="{at.y:g}" width="{at.width:g}" height="{at.height:g}" rx="6"/>'
    )
    return "\n".join([rect, *texts])


def frame(at: Box, name: str) -> str:
    """Draw a dashed frame, with its name in the upper left corner."""
    return (
        f'<rect class="frame" x="{at.x:g}" y="{at.y:g}" width="{at.width:g}" height="{at.height:g}" rx="8"/>\n'
        + label(at.x + 10, at.y + 18, name)
    )


def label(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    """Write a small text."""
    return f'<text class="text" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def arrow(*points: tuple[float, float], curved: bool = False) -> str:
    """Draw a line through points, with its tip at the last; `curved` goes from the first to the last."""
    if curved:
        (x1, y1), (x2, y2) = points[0], points[-1]
        bend = (y2 - y1) / 2
        path = f"M{x1:g} {y1:g} C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"
    else:
        path = "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path class="line" d="{path}" marker-end="url(#tip)"/>'
