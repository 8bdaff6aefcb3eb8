"""docs/bench.md, made of one run and nothing else.  Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench import report
from tests.bench.measuring import WARM_UP_ROUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.bench.row import Result

_INTRODUCTION = f"""\
# Measured against peers

Every claim as a figure against something you know, measured in the same run on the same machine; made by
`just baseline`, and not to be edited by hand.

![how much of its target each row uses](images/bench.svg)

A round takes one sample of ours and, right after it, one of the peer's; {WARM_UP_ROUNDS} round a row is warm-up and not
counted. A figure is the median over the rounds, ± the median absolute deviation. What is a ratio is ours over the
peer's; what has a unit is ours alone, or what ours has more. Servers and clients have a core each. Programs start with
their byte code, and the service with its bundle, as in the image. `just bench --compare docs/bench.json` says what has
become worse than here, beyond the noise; on another machine compare with a run of your own.
"""


def page_of(results: Iterable[Result], facts: Mapping[str, str]) -> str:
    """Return the whole page."""
    rows = [report.HEADING, *(report.cells(result) for result in results)]
    return "\n".join([_INTRODUCTION, _table(rows), "", "## The machine", "", _table([("", ""), *facts.items()]), ""])


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [_line(head), "|" + "---|" * len(head), *map(_line, body)]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
