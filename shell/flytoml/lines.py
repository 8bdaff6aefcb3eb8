"""Where in a fly.toml each key stands.

Rules (TOML 1.1.0; docs/fly.md, "fly.toml")
- A key path is written as in messages: `services[1].ports[0].handlers`, entries counted from 0; its case is no matter.
- A `[header]` belongs to the last entry of an array of tables that it leads through.
- A path that is not there stands where its nearest enclosing table does, and at line 1 when nothing encloses it.
- A single table that flyctl takes as an array of one is found with `[0]` too.
- Of two keys that differ only in case, the one that sorts last counts, as it does for `Table`.

The text is known to be TOML, so this walk needs no errors: it only finds out where things begin.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shell.flytoml.newer import as_1_0

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_PATH = 1000  # characters; what is longer stands where its table does, and costs nothing
_BETWEEN = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_NAME = re.compile(r"""[ \t]*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*(\.?)""")
_SCALAR = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'{3}.*?\'{3,5}|"(?:[^"\\]|\\.)*"|'[^']*'|[^,\]}#\n]+''',
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Lines:
    """The line of each key path of one file."""

    known: Mapping[str, int]

    @classmethod
    def of(cls, text: str) -> Lines:
        """Find the lines of `text`, which is TOML."""
        return cls(_Walk(text).lines())

    def line_of(self, path: str) -> int:
        """Return the line, from 1, of a key path."""
        place = _place(path)
        while place and place not in self.known:
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        return self.known.get(place, 1)


class _Walk:
    """One walk over the text; `offsets` has, by place, the path as written and where it begins."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.offsets: dict[str, tuple[str, int]] = {}
        self.entries: dict[str, int] = {}  # how many each array of tables has so far

    def lines(self) -> dict[str, int]:
        """Walk, and return the line of each place."""
        at, table = self.skip(0), ""
        while at < len(self.text):
            if self.text[at] == "[":
                at, table = self.header(at)
            else:
                at, path = self.key(at, table)
                at = self.value(at, path)
            at = self.skip(at)
        ends = [match.start() for match in re.finditer("\n", self.text)]
        return {place: bisect_left(ends, offset) + 1 for place, (_, offset) in self.offsets.items()}

    def skip(self, at: int) -> int:
        """Return where the next thing begins that is neither space nor comment."""
        match = _BETWEEN.match(self.text, at)
        return match.end() if match else at

    def note(self, path: str, offset: int) -> None:
        """Keep where a path begins; the first time counts."""
        place = _place(path)
        known = self.offsets.get(place)
        written = path.replace("[0]", "")
        if known is None or written > known[0]:
            self.offsets[place] = (written, offset)

    def names(self, at: int) -> tuple[int, list[str]]:
        """Return where a dotted key ends, and its parts."""
        parts = []
        while match := _NAME.match(self.text, at):
            at = match.end()
            parts.append(_unquoted(match[1]))
            if not match[2]:
                break
        return at, parts

    def header(self, start: int) -> tuple[int, str]:
        """Open the table that a header names; return where the header ends, and the path."""
        brackets = 2 if self.text.startswith("[[", start) else 1
        at, parts = self.names(start + brackets)
        path = ""
        for place, name in enumerate(parts, 1):
            path = _joined(path, name)
            self.note(path, start)
            if brackets == 2 and place == len(parts):  # noqa: PLR2004 - as in [[
                self.entries[path] = self.entries.get(path, 0) + 1
            if path in self.entries:
                path = f"{path}[{self.entries[path] - 1}]"
                self.note(path, start)
        return at + brackets, path

    def key(self, start: int, table: str) -> tuple[int, str]:
        """Note a key in a table; return where its value begins, and its path."""
        at, parts = self.names(start)
        path = table
        for name in parts:
            path = _joined(path, name)
            self.note(path, start)
        return self.skip(at + 1), path  # behind the =

    def value(self, at: int, path: str) -> int:
        """Return where the value ends that begins at `at`, and note what is in it."""
        opened: list[tuple[str, int | None]] = []  # the arrays, with the number of the next entry, and inline tables
        while True:
            if self.text[at] in "[{":
                opened.append((path, 0 if self.text[at] == "[" else None))
                at += 1
            elif scalar := _SCALAR.match(self.text, at):
                at = scalar.end()
            at = self.skip(at)
            while opened and self.text[at] in ",]}":
                if self.text[at] != ",":
                    opened.pop()
                at = self.skip(at + 1)
            if not opened:
                return at
            path, number = opened[-1]
            if number is None:
                at, path = self.key(at, path)
            else:
                opened[-1] = (path, number + 1)
                path = f"{path}[{number}]"
                if self.text[at] in "[{":
                    self.note(path, at)


def _place(path: str) -> str:
    """Return what is the same for every way to write a path: a single table is the first entry of an array."""
    return path.lower().replace("[0]", "")


def _joined(table: str, name: str) -> str:
    path = f"{table}.{name}" if table else name
    return path if len(path) <= _LONGEST_PATH else table


def _unquoted(name: str) -> str:
    if "\\" in name:
        return str(tomllib.loads(as_1_0(f"name = {name}"))["name"])
    return name[1:-1] if name[0] in "\"'" else name
