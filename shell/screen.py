"""Where results are written: tables and lines, with rich on a terminal and as plain text elsewhere.

Rule: every text passes through `printable` here, so nothing from the network reaches the terminal raw.
Colour only on a terminal, and not with NO_COLOR (no-color.org) or `--no-color`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TextIO

from shell.escape import printable

_LEAST_LENGTH = 0.02  # what was measured is never drawn as nothing


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of `length` (0 to 1) in a style; drawn on a terminal only."""

    length: float
    style: str


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and whether its cells are numbers."""

    heading: str
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a title; `bars`, when given, has one bar a row."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    bars: tuple[Bar, ...] = ()


class Screen:
    """Writes to one stream."""

    def __init__(self, stream: TextIO, *, color: bool) -> None:
        """Write to `stream`; `color` is what the person allows."""
        self._stream = stream
        self._color = color
        self._terminal = stream.isatty()

    def line(self, text: str = "") -> None:
        """Write one line."""
        self._stream.write(printable(text) + "\n")

    def table(self, table: Table) -> None:
        """Write a table and an empty line after it."""
        if self._terminal:
            self._rich_table(table)
        else:
            self._plain_table(table)
        self.line()

    def _plain_table(self, table: Table) -> None:
        self.line(table.title)
        rows = [
            [column.heading for column in table.columns],
            *([printable(cell) for cell in row] for row in table.rows),
        ]
        widths = [max(len(row[n]) for row in rows) for n in range(len(table.columns))]
        for row in rows:
            cells = (
                cell.rjust(width) if column.numeric else cell.ljust(width)
                for cell, width, column in zip(row, widths, table.columns, strict=True)
            )
            self._stream.write("  ".join(cells).rstrip() + "\n")

    def _rich_table(self, table: Table) -> None:
        from rich import box  # noqa: PLC0415 - 50 ms, and only a terminal needs it
        from rich.bar import Bar as RichBar  # noqa: PLC0415 - as above
        from rich.console import Console  # noqa: PLC0415 - as above
        from rich.table import Table as RichTable  # noqa: PLC0415 - as above
        from rich.text import Text  # noqa: PLC0415 - as above

        console = Console(
            file=self._stream, highlight=False, markup=False, color_system="auto" if self._color else None
        )
        drawn = RichTable(title=Text(printable(table.title)), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in table.columns:
            drawn.add_column(column.heading, justify="right" if column.numeric else "left", overflow="fold")
        if table.bars:
            drawn.add_column("", min_width=8, max_width=24)
        for n, row in enumerate(table.rows):
            cells = (Text(printable(cell)) for cell in row)
            bars = (RichBar(1, 0, max(bar.length, _LEAST_LENGTH), color=bar.style) for bar in table.bars[n : n + 1])
            drawn.add_row(*cells, *bars)
        console.print(drawn)
