"""One picture of the times: a panel for each thing counted, both scales logarithmic, the knees ringed.  Pure.

Rules: one self-contained SVG, nothing from elsewhere, light and dark by the reader's preference.  On two logarithmic
scales what grows in proportion is a straight line that climbs one decade a decade.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from tests.lab.scaling.series import costs, knee
from tests.lab.scaling.subjects import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.lab.scaling.series import Figure, Series

_PANEL_WIDTH, _PANEL_HEIGHT = 360, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 20, 62, 34
_COLUMNS = 2
_HEAD = 40
_LEAST = 0.001
_COLOURS = ("first", "second")
_STYLE = """\
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 } .head { font-weight: 600 } .muted { fill: #59636e }
.middle { text-anchor: middle } .end { text-anchor: end } .page { fill: #ffffff } .grid { stroke: #d1d9e0 }
.line { fill: none; stroke-width: 2 } .knee { fill: none; stroke: #1f2328; stroke-width: 1.5 }
.line.first { stroke: #3567ad } .dot.first { fill: #3567ad }
.line.second { stroke: #b86e00 } .dot.second { fill: #b86e00 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .muted { fill: #9198a1 } .page { fill: #0d1117 } .grid { stroke: #3d444d }
.knee { stroke: #e6edf3 }
.line.first { stroke: #6ea8fe } .dot.first { fill: #6ea8fe }
.line.second { stroke: #f0b455 } .dot.second { fill: #f0b455 }
}"""


def chart_of(measured: Sequence[Series]) -> str:
    """Return the SVG."""
    rows = math.ceil(len(measured) / _COLUMNS)
    size = f'width="{_COLUMNS * _PANEL_WIDTH}" height="{_HEAD + rows * _PANEL_HEIGHT}"'
    title = "Time against number: " + ", ".join(SUBJECTS[series.what].name for series in measured)
    box = f"0 0 {_COLUMNS * _PANEL_WIDTH} {_HEAD + rows * _PANEL_HEIGHT}"
    panels = [
        f'<g transform="translate({n % _COLUMNS * _PANEL_WIDTH} {_HEAD + n // _COLUMNS * _PANEL_HEIGHT})">'
        + "\n".join(_panel(series))
        + "</g>"
        for n, series in enumerate(measured)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="{box}" role="img" aria-labelledby="title">',
            f'<title id="title">{escape(title)}</title>',
            f"<style>{_STYLE}</style>",
            f'<rect class="page" {size} rx="6"/>',
            _text(20, 30, "time against number; ringed: the knee", "title"),
            *panels,
            "</svg>\n",
        ]
    )


def _panel(series: Series) -> Iterator[str]:
    subject = SUBJECTS[series.what]
    figures = [figure for figure in subject.figures if figure.key in subject.drawn]
    lines = [_line(series, figure) for figure in figures]
    across = _Scale([n for n, _ in lines[0]], _LEFT, _PANEL_WIDTH - _RIGHT)
    up = _Scale([cost for line in lines for _, cost in line], _PANEL_HEIGHT - _BOTTOM, _TOP)
    yield _text(_LEFT, 22, f"{subject.name}, {figures[0].unit}", "head")
    for tick in up.ticks:
        y = up.place(tick)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_PANEL_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(_LEFT - 6, y + 4, f"{tick:,g}", "muted end")
    for tick in across.ticks:
        yield _text(across.place(tick), _PANEL_HEIGHT - _BOTTOM + 18, f"{tick:,.0f}", "muted middle")
    x = float(_LEFT)
    for figure, line, colour in zip(figures, lines, _COLOURS, strict=True):
        name = figure.heading.rpartition(", ")[0]
        yield f'<circle class="dot {colour}" cx="{x + 4:.0f}" cy="40" r="4"/>'
        yield _text(x + 12, 44, name, "muted")
        x += 26 + 6.2 * len(name)
        places = [(across.place(n), up.place(cost)) for n, cost in line]
        points = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
        yield f'<polyline class="line {colour}" points="{points}"/>'
        yield from (f'<circle class="dot {colour}" cx="{px:.1f}" cy="{py:.1f}" r="3"/>' for px, py in places)
        yield from _ring(series, figure, across, up)


def _ring(series: Series, figure: Figure, across: _Scale, up: _Scale) -> Iterator[str]:
    found = knee(costs(series, figure), figure.noise or 0)
    if found is not None:
        x, y = across.place(found.count), up.place(dict(_line(series, figure))[found.count])
        yield f'<circle class="knee" cx="{x:.1f}" cy="{y:.1f}" r="8"/>'


def _line(series: Series, figure: Figure) -> list[tuple[int, float]]:
    return [(point.count, max(point.value(figure), _LEAST)) for point in series.points]


class _Scale:
    """A logarithmic scale from whole decade to whole decade."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self._low = math.floor(math.log10(min(values)))
        self._high = max(math.ceil(math.log10(max(values))), self._low + 1)
        self._start, self._end = start, end
        self.ticks = [10.0**power for power in range(self._low, self._high + 1)]

    def place(self, value: float) -> float:
        """Return where a value is."""
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
