"""Where results are written: lines and tables, which rich lays out.

Rule: every text passes through `printable` here, so nothing from the network reaches the terminal raw.
Colour and bars only on a terminal; colour not with NO_COLOR (no-color.org) or `--no-color`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from shell.escape import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_UNBOUNDED = 100_000  # columns: what is not a terminal gets every row on one line
_MAX_BAR, _LEAST_BAR = 24, 16


class Screen:
    """Writes to one stream."""

    def __init__(self, stream: TextIO, *, color: bool) -> None:
        """Write to `stream`; `color` is what the person allows."""
        self._stream = stream
        self._terminal = stream.isatty()
        self._console = Console(
            file=stream,
            color_system="auto" if color and self._terminal else None,
            width=None if self._terminal else _UNBOUNDED,
        )

    def bar_width(self, other_columns: int) -> int:
        """Return how wide a bar may be beside a table of some width; 0 where there is no room or no terminal."""
        left = min(self._console.width - other_columns, _MAX_BAR) if self._terminal else 0
        return left if left >= _LEAST_BAR else 0

    def line(self, text: str = "") -> None:
        """Write one line."""
        self._stream.write(printable(text) + "\n")

    def marked(self, mark: str, style: str, text: str) -> None:
        """Write one line that begins with a mark in a style, and let it be seen at once."""
        with self._console.capture() as captured:
            self._console.print(Text(mark, style), end="")
        self._stream.write(captured.get())
        self.line(text)
        self._stream.flush()

    def table(self, title: str, columns: Mapping[str, JustifyMethod], rows: Iterable[Sequence[str | Text]]) -> None:
        """Write a table, an empty line after it; `Text` is the caller's own and written as it is."""
        drawn = Table(box=None, pad_edge=False)
        for heading, justify in columns.items():
            drawn.add_column(Text(heading), justify=justify, overflow="fold")
        for row in rows:
            drawn.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row))
        with self._console.capture() as captured:
            self._console.print(drawn)
        self.line(title)
        self._stream.writelines(line.rstrip() + "\n" for line in captured.get().split("\n"))
