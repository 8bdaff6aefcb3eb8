"""The panel's two renderers: a page for browsers, which needs no script, and a text for terminals.

panel.js replaces the content of the elements marked `data-live` with that of a newer page.
"""

from __future__ import annotations

from functools import cache
from html import escape
from itertools import accumulate, pairwise, zip_longest
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from private_svc.web import panel

if TYPE_CHECKING:
    from private_svc.web.status import Status

STATIC = Path(__file__).with_name("static")
BAR_WIDTH = 1000
WIDEST_COLUMN = 40  # in a text, one long path must not push every other row aside


def as_text(status: Status, url: str) -> str:
    """Return the panel as lines of text; `url` is where the reader found it, such as `my-app.flycast/`."""
    state, age = panel.headline(status)
    lines = [f"Machine {status.machine.machine_id} is {state}, {age}"]
    for section in panel.sections(status, url):
        rows = [[str(cell) for cell in row] for row in (section.columns, *section.rows) if row]
        aligned = [row for row in rows if len(row) > 1]
        widths = [min(WIDEST_COLUMN, max(map(len, column))) for column in zip_longest(*aligned, fillvalue="")]
        padded = ("  ".join(map(str.ljust, row, widths or [0])).rstrip() for row in rows)
        lines += ["", section.title, *(f"  {line}" for line in (section.summary, *padded) if line)]
    return "\n".join(lines) + "\n"


def as_html(status: Status, url: str) -> str:
    """Return the panel as a page with relative links; what comes from outside is escaped."""
    state, age = panel.headline(status)
    machine = status.machine
    return Template(static_file("page.html")).substitute(
        {"exposed": "", "machines": ""} | {it.name: _section(it) for it in panel.sections(status, url)},
        title=escape(machine.app_name or "private-svc"),
        machine=escape(machine.machine_id),
        region=f" in {escape(machine.region)}" if machine.region else "",
        state=state,
        age=age,
        form="" if status.sleep.actions_off else static_file("sleep.html"),
        version=escape(status.version),
    )


@cache
def static_file(name: str) -> str:
    """Return a file that belongs to the page, read once."""
    return (STATIC / name).read_text(encoding="utf-8")


def _section(section: panel.Section) -> str:
    name, summary = section.name, escape(section.summary)
    line = f'<p id="{name}-summary" class="summary" aria-live="polite" data-live>{summary}</p>' if summary else ""
    titles = "".join(f'<th scope="col">{title}</th>' for title in section.columns)
    head = f"<thead><tr>{titles}</tr></thead>" if titles else ""
    table = f'<table id="{name}-rows" data-live>{head}<tbody>{"".join(map(_row, section.rows))}</tbody></table>'
    return f"<h2>{section.title}</h2>{line}{_bar(section.bar)}{table}"


def _row(row: panel.Row) -> str:
    cells = [(escape(str(it)), "" if isinstance(it, str) else f' class="{it.style}"') for it in row]
    (name, style), *values = cells
    return f'<tr><th scope="row"{style}>{name}</th>{"".join(f"<td{style}>{it}</td>" for it, style in values)}</tr>'


def _bar(shares: tuple[float, ...]) -> str:
    if not shares:
        return ""
    ends = [round(BAR_WIDTH * end, 1) for end in accumulate(shares, initial=0.0)]
    parts = "".join(f'<rect x="{x}" width="{round(end - x, 1)}" height="24"/>' for x, end in pairwise(ends))
    size = f'viewBox="0 0 {BAR_WIDTH} 24" preserveAspectRatio="none"'
    return f'<svg id="bar" class="bar" {size} aria-hidden="true" data-live>{parts}</svg>'
