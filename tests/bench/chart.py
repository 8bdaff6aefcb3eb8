"""A run as one picture: how much of its target each row uses.

Rules: one self-contained SVG, 720 wide; no script, no font and no file from elsewhere; light and dark by the reader's
preference; every text is escaped.  A bar is figure / target where less is better and target / figure where more is, so
what ends left of the line meets its target; a bar that would be longer than twice its target is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from tests.bench import report
from tests.bench.row import Better

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.row import Result, Row

_WIDTH = 720
_LEFT, _NOTES, _RIGHT = 132, 170, 24
_LENGTH = _WIDTH - _LEFT - _NOTES - _RIGHT
_ROW, _BAR = 24, 12
_TOP = 96
_MOST = 2.0  # targets
_MOST_LETTERS = 100
_STYLE = """\
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 } .muted { fill: #59636e } .page { fill: #ffffff }
.met { fill: #3567ad } .missed { fill: #e29a2d } .line { stroke: #1f2328; stroke-width: 1.5 }
.spread { stroke: #8b949e; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .muted { fill: #9198a1 } .page { fill: #0d1117 }
.met { fill: #6ea8fe } .missed { fill: #f0b455 } .line { stroke: #e6edf3 } .spread { stroke: #7d8590 }
}"""


def chart(results: Sequence[Result], facts: Mapping[str, str]) -> str:
    """Return the SVG of the rows that have a target and were measured."""
    shown = [result for result in results if result.met is not None]
    height = _TOP + _ROW * len(shown) + 24
    size = f'width="{_WIDTH}" height="{height}"'
    line = _LEFT + _place(1.0)
    machine = f"{facts['processor']}, {facts['cores']} cores, Python {facts['Python']}, Linux {facts['kernel']}"
    parts = [
        _text(24, 34, "Measured against peers", "title"),
        _text(24, 54, f"{facts['date']}, {machine}", "muted"),
        _text(24, 74, "how much of its target each row uses: left of the line meets it; grey: ± MAD"),
    ]
    for n, result in enumerate(shown):
        parts += _bar(result, _TOP + n * _ROW)
    parts.append(_line("line", line, _TOP - 6, _TOP + _ROW * len(shown)))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_WIDTH} {height}" role="img">',
            "<title>How much of its target each row of the benchmark uses</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="page" {size} rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def used(row: Row, figure: float) -> float:
    """Return how much of its target a figure uses: 1 meets it exactly."""
    assert row.target is not None, "a row without a target has no bar"
    part, whole = (figure, row.target) if row.better is Better.LESS else (row.target, figure)
    if whole == 0:
        return 0.0 if part <= 0 else _MOST
    return part / whole


def _place(share: float) -> float:
    return min(max(share, 0.0), _MOST) / _MOST * _LENGTH


def _bar(result: Result, y: float) -> list[str]:
    row, middle = result.row, y + _BAR / 2
    ends = sorted(_LEFT + _place(used(row, result.figure + off)) for off in (-result.mad, result.mad))
    kind = "met" if result.met else "missed"
    unit = "" if row.compared == "ratio" else f" {row.unit}"
    width = _place(used(row, result.figure))
    return [
        _text(24, y + 10, row.name),
        f'<rect class="{kind}" x="{_LEFT}" y="{y:.1f}" width="{width:.1f}" height="{_BAR}"/>',
        f'<line class="spread" x1="{ends[0]:.1f}" y1="{middle:.1f}" x2="{ends[1]:.1f}" y2="{middle:.1f}"/>',
        _text(
            _LEFT + _LENGTH + 10, y + 10, f"{report.number(result.figure)}{unit}, target {report.target(row)}", "muted"
        ),
    ]


def _line(kind: str, x: float, top: float, bottom: float) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    cut = text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"
    return f'<text{named} x="{x:.1f}" y="{y:.1f}">{escape(cut)}</text>'
