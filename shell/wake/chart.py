"""One picture of a run, to paste into an issue: each cold request divided, the warm ones as dots.

Rules: one self-contained SVG, 720 wide; no script, no font and no file from elsewhere; light and dark by the reader's
preference; every text is escaped; times on a linear scale from 0, one scale for the bars and one for the dots.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from shell.escape import printable
from shell.wake.outcome import Kind
from shell.wake.parts import NAMES
from shell.wake.scale import scale_for

if TYPE_CHECKING:
    from datetime import datetime

    from shell.wake.outcome import Outcome, Sample
    from shell.wake.scale import Scale

_WIDTH = 720
_LEFT, _RIGHT = 92, 24
_NOTES = 176  # right of the bars and dots, for their numbers
_LENGTH = _WIDTH - _LEFT - _RIGHT - _NOTES
_ROW, _BAR = 24, 14
_MAX_BARS = 40
_MAX_TITLE, _MAX_LINE = 60, 92  # characters: as many as fit where the reader's font is a wide one
_STYLE = """\
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 } .muted { fill: #59636e }
.middle { text-anchor: middle } .page { fill: #ffffff } .grid { stroke: #d1d9e0 }
.network { fill: #a9b4c0 } .platform { fill: #3567ad } .boot { fill: #e29a2d } .answer { fill: #4a9c5d }
.body { fill: #b48ead } .whole { fill: #8b949e }
.dot { fill: #3567ad; fill-opacity: .45 } .mark { stroke: #1f2328; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .muted { fill: #9198a1 } .page { fill: #0d1117 } .grid { stroke: #3d444d }
.network { fill: #57606a } .platform { fill: #6ea8fe } .boot { fill: #f0b455 } .answer { fill: #7cc78d }
.body { fill: #c9a3c9 } .whole { fill: #7d8590 }
.dot { fill: #6ea8fe } .mark { stroke: #e6edf3 }
}"""


def chart_of(outcome: Outcome, began_at: datetime) -> str:
    """Return the SVG of a run."""
    woken = [sample for sample in outcome.samples if sample.kind.wakes and not sample.refuted]
    dotted = {kind: samples for kind in (Kind.WARM, Kind.KEPT) if (samples := outcome.counted(kind))}
    app_name, measured, way = _heading(outcome, began_at)
    parts = [
        _text(24, 34, _cut(app_name, _MAX_TITLE), "title"),
        _text(24, 56, measured),
        _text(24, 74, _cut(way, _MAX_LINE), "muted"),
    ]
    y = 106.0
    if woken:
        parts += _bars(woken, y)
        y += 34 + _ROW * (min(len(woken), _MAX_BARS) + 1)
    if dotted:
        parts += _dots(outcome, dotted, y)
        y += 34 + _ROW * (len(dotted) + 1)
    size = f'width="{_WIDTH}" height="{y:.0f}"'
    named = 'role="img" aria-labelledby="title"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_WIDTH} {y:.0f}" {named}>',
            f'<title id="title">{_safe(f"{app_name}: {measured}")}</title>',
            f"<style>{_STYLE}</style>",
            f'<rect class="page" {size} rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _heading(outcome: Outcome, began_at: datetime) -> tuple[str, str, str]:
    """Return the app, what was measured when, and through which address."""
    target = outcome.plan.target
    counts = [f"{count} {kind}" for kind in Kind if (count := len(outcome.counted(kind)))]
    when = began_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    way = f"{target}, timed by flycast-probe wake"
    return target.app_name, f"{', '.join(counts)} requests, {when}", way


def _bars(woken: list[Sample], top: float) -> list[str]:
    shown = woken[:_MAX_BARS]
    scale = scale_for(max(sample.timed.total_ms for sample in shown), _LENGTH)
    more = f", the first {len(shown)} of {len(woken)}" if len(woken) > len(shown) else ""
    first = top + 14
    drawn = [_text(24, top, f"waking, ms{more}"), *_legend(shown, top), *_grid(scale, first, len(shown))]
    for n, sample in enumerate(shown):
        drawn += _bar(sample, scale, first + n * _ROW)
    return drawn


def _bar(sample: Sample, scale: Scale, y: float) -> list[str]:
    end = scale.place(sample.timed.total_ms)
    parts = sample.judgement.parts
    named_ms = zip(NAMES, parts.ms, strict=True) if parts else [("whole", sample.timed.total_ms)]
    drawn, x = [_text(24, y + 16, sample.kind)], float(_LEFT)
    for name, ms in named_ms:
        width = end * ms / (sample.timed.total_ms or 1.0)
        drawn.append(_rect(name, x, y + 5, width))
        x += width
    note = f"{sample.timed.total_ms:.0f} ms"
    if parts:
        note += f" ({parts.platform_ms:.0f} + {parts.boot_ms:.0f})"
    return [*drawn, _text(_LEFT + _LENGTH + 10, y + 16, note, "muted")]


def _dots(outcome: Outcome, dotted: dict[Kind, tuple[Sample, ...]], top: float) -> list[str]:
    longest_ms = max(sample.timed.total_ms for samples in dotted.values() for sample in samples)
    scale = scale_for(longest_ms, _LENGTH)
    first = top + 14
    heading = "awake, ms: a dot a request, a line at the median; kept = all on one connection"
    drawn = [_text(24, top, heading), *_grid(scale, first, len(dotted))]
    for n, (kind, samples) in enumerate(dotted.items()):
        y = first + n * _ROW
        drawn.append(_text(24, y + 16, kind))
        places = sorted({round(_LEFT + scale.place(sample.timed.total_ms)) for sample in samples})
        drawn += [f'<circle class="dot" cx="{x}" cy="{y + 12:.0f}" r="4.5"/>' for x in places]
        if spread := outcome.spread(kind):
            drawn.append(_line("mark", _LEFT + scale.place(spread.median_ms), y + 4, y + 20))
            note = f"median {spread.median_ms:.1f}, p90 {spread.p90_ms:.1f}"
            drawn.append(_text(_LEFT + _LENGTH + 10, y + 16, note, "muted"))
    return drawn


def _legend(shown: list[Sample], top: float) -> list[str]:
    divided = [sample.judgement.parts is not None for sample in shown]
    entries = [(name, name) for name in NAMES] if any(divided) else []
    entries += [] if all(divided) else [("whole", "not divided")]
    x = _LEFT + 150
    drawn = []
    for kind, name in entries:
        drawn += [f'<rect class="{kind}" x="{x}" y="{top - 9:.1f}" width="10" height="10"/>', _text(x + 15, top, name)]
        x += 75
    return drawn


def _grid(scale: Scale, top: float, rows: int) -> list[str]:
    bottom = top + rows * _ROW
    drawn = []
    for tick_ms in scale.ticks_ms:
        x = _LEFT + scale.place(tick_ms)
        drawn += [_line("grid", x, top, bottom), _text(x, bottom + 15, f"{tick_ms:g}", "muted middle")]
    return drawn


def _rect(kind: str, x: float, y: float, width: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_BAR}"/>'


def _line(kind: str, x: float, top: float, bottom: float) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}">{_safe(text)}</text>'


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _safe(text: str) -> str:
    return escape(printable(text))
