"""A run as a table: on a terminal, and its cells for whoever shows them elsewhere."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from tests.bench.facts import others_at_work
from tests.bench.row import Better, Compared

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.bench.row import Result, Row

HEADING = ("row", "ours", "peer", "figure", "± MAD", "target", "", "what it is")
_LEFT = (0, 6, 7)  # the columns of words
_DIGITS = 3


def table(results: Iterable[Result]) -> str:
    """Return the rows; medians over their rounds."""
    lines = [HEADING, *(cells(result) for result in results)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(HEADING))]
    return "\n".join("  ".join(_padded(line, widths)).rstrip() for line in lines)


def heading(facts: Mapping[str, str]) -> str:
    """Return the facts, and a warning when others were at work."""
    width = max(map(len, facts))
    lines = [f"{name:<{width}}  {value}" for name, value in facts.items()]
    if others_at_work(facts):
        lines.append("others were at work on this machine before anything was measured: the figures are noisy")
    return "\n".join(lines)


def number(value: float) -> str:
    """Return three digits that count; all of them before the point."""
    if value == 0:
        return "0"
    return f"{value:.0f}" if abs(value) >= 10 ** (_DIGITS - 1) else f"{value:#.{_DIGITS}g}".rstrip(".")


def target(row: Row) -> str:
    """Return the target as the table has it."""
    if row.target is None:
        return "-"
    return f"{'≤' if row.better is Better.LESS else '≥'} {row.target:g}{_figure_unit(row)}"


def verdict(result: Result) -> str:
    """Return met, missed, or nothing when there was no target."""
    return {True: "met", False: "MISSED", None: ""}[result.met]


def cells(result: Result) -> Sequence[str]:
    """Return the cells of a row, as many as `HEADING` has."""
    row = result.row
    described = f"{row.title}; {_against(row)}" if row.peer else row.title
    if not result.rounds:
        return (row.name, "-", "-", "-", "-", target(row), "", f"not measured: {result.why_not}")
    if result.why_not:
        described += f" ({result.why_not} after {_counted(len(result.rounds))})"
    peers = [each.peer for each in result.rounds if each.peer is not None]
    return (
        row.name,
        f"{number(median(each.ours for each in result.rounds))} {row.unit}",
        f"{number(median(peers))} {row.unit}" if peers else "-",
        f"{number(result.figure)}{_figure_unit(row)}",
        number(result.mad),
        target(row),
        verdict(result),
        described,
    )


def _figure_unit(row: Row) -> str:
    return "" if row.compared is Compared.RATIO else f" {row.unit}"


def _against(row: Row) -> str:
    return {
        Compared.RATIO: f"over {row.peer}",
        Compared.ADDED: f"more than {row.peer}",
        Compared.ALONE: f"peer: {row.peer}",
    }[row.compared]


def _counted(rounds: int) -> str:
    return "1 round" if rounds == 1 else f"{rounds} rounds"


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [f"{cell:{'<' if n in _LEFT else '>'}{widths[n]}}" for n, cell in enumerate(line)]
