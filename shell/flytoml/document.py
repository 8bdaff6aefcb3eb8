"""From a path to the tables of a fly.toml and the lines they stand on, or to one clear error.

What a careless or hostile person may pass for a fly.toml (a folder, a pipe, a device, megabytes, bytes that are no
text, nesting without end) is an error within a bound of time and memory.
"""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shell.errors import ProbeError
from shell.escape import printable
from shell.flytoml.gotext import INT64_MAX
from shell.flytoml.keypaths import key_paths
from shell.flytoml.lines import Lines
from shell.flytoml.newer import as_1_0
from shell.flytoml.regular_file import IrregularError, read_regular
from shell.flytoml.table import Table

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES = 1 << 20
_MOST_SHOWN = 200  # characters
_INTEGER_EXPECTED = "expected an integer of at most 64 bits, as flyctl does"
_DEEPEST = 64  # tables and arrays within each other
_DEEP_HEADER = re.compile(rf"^[ \t]*\[(?:[^.\n]*\.){{{_DEEPEST}}}", re.MULTILINE)
_PLACE = re.compile(r" \((?:at line (\d+), column (\d+)|at end of document)\)")


class FlyTomlError(ProbeError):
    """The file cannot be used; the message names the file, the line, what was expected and what came."""


class UnreadableError(FlyTomlError):
    """There is no such file, or it is not one that is read."""


class NotTomlError(FlyTomlError):
    """The file is not TOML; `line` and `column` are where, `source` is what stands on that line."""

    def __init__(self, path: Path, reason: str, line: int, column: int, source: str = "") -> None:
        """Word the error as one line."""
        super().__init__(f"{path}:{line}: not TOML: {reason} (column {column})")
        self.reason = reason
        self.line = line
        self.column = column
        self.source = source


@dataclass(frozen=True, slots=True)
class Document:
    """A fly.toml as TOML: its text, its tables as they are written and as `Table`, and the lines of its keys."""

    path: Path
    text: str
    tree: dict[str, Any]
    lines: Lines

    @property
    def root(self) -> Table:
        """The table of the file itself."""
        return Table.of("", self.tree)

    def place(self, where: str) -> str:
        """Return `file:line: key path`, the head of every complaint."""
        return place(self.path, self.lines, where)


def place(path: Path, lines: Lines, where: str) -> str:
    """Return `file:line: key path` of the key path `where`."""
    return f"{path}:{lines.line_of(where)}: {printable(where)[:_MOST_SHOWN]}"


def document(path: Path) -> Document:
    """Read the TOML of one file; raise `FlyTomlError` when it is missing, no file, too large, or not TOML."""
    text = _text(path)
    tree, lines = _parsed(path, text), Lines.of(text)
    for value, where in key_paths(tree):
        if isinstance(value, int) and not -INT64_MAX - 1 <= value <= INT64_MAX:
            raise NotTomlError(path, f"{printable(where)[:_MOST_SHOWN]}: {_INTEGER_EXPECTED}", lines.line_of(where), 1)
    return Document(path, text, tree, lines)


def _text(path: Path) -> str:
    content = _content(path)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line, column = _end_of(content[: error.start].decode())
        raise NotTomlError(path, "bytes that are not UTF-8", line, column) from error


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_FILE_BYTES)
    except IrregularError as error:
        advice = f"name a regular file of at most {MAX_FILE_BYTES} bytes"
        raise UnreadableError(f"{path}: expected a fly.toml, got {error.got}; {advice}") from error
    except OSError as error:
        raise UnreadableError(f"{path}: expected a fly.toml, got: {error.strerror}") from error
    except ValueError as error:
        raise UnreadableError(f"{str(path)!r:.99}: expected the path of a fly.toml, got one with NUL in it") from error


def _parsed(path: Path, text: str) -> dict[str, Any]:
    too_deep = f"tables nested more than {_DEEPEST} deep"
    if deep := _DEEP_HEADER.search(text):  # tomllib would walk all its parts again for each key below it
        raise NotTomlError(path, too_deep, *_end_of(text[: deep.start()]))
    try:
        root = _loads(text)
    except RecursionError as error:
        raise NotTomlError(path, too_deep, 1, 1) from error
    except ValueError as error:
        found = _PLACE.search(str(error))
        line, column = (int(found[1]), int(found[2])) if found and found[1] else _end_of(text)
        reason = str(error)[: found.start()] if found else str(error)
        raise NotTomlError(path, reason, line, column, text.split("\n")[line - 1][:_MOST_SHOWN]) from error
    level: list[Any] = [root]
    for _ in range(_DEEPEST):
        level = [item for value in level for item in (value.values() if isinstance(value, dict) else value)
                 if isinstance(item, dict | list)]  # fmt: skip
    if level:
        raise NotTomlError(path, too_deep, 1, 1)
    return root


def _loads(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError:
        older = as_1_0(text)
        with suppress(ValueError):
            return tomllib.loads(older)
        raise


def _end_of(before: str) -> tuple[int, int]:
    """Return the line and column, from 1, of what follows the text `before`."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")
