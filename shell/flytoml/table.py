"""One TOML table as Go's encoding/json would see it: keys match whatever their case, types are strict.

Rules (docs/fly.md, "fly.toml")
- Of two keys that differ only in case, the one that sorts last wins; unknown keys are never looked at.
- An integer may be written `8080.0`, never `8080.5`, `"8080"` or `true`.
- `lenient_integer` also takes text and truncates: flyctl casts the ports of `[[services]]`, and only those.
- Where flyctl itself mends old files, a single table stands for an array of one; elsewhere it is a mistake.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, time
from typing import TYPE_CHECKING, Any

from shell.errors import ProbeError
from shell.escape import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_SHOWN = 200
_DIGITS = re.compile(r"[+-]?[0-9]{1,19}")


class ShapeError(ProbeError):
    """The value at the key path `where` cannot be used; the text begins with that path."""

    def __init__(self, where: str, problem: str) -> None:
        """Keep the place beside the `problem`."""
        super().__init__(f"{printable(where)[:_LONGEST_SHOWN]}: {problem}")
        self.where = where


def wrong(where: str, expected: str, got: object) -> ShapeError:
    """Word the error for the value `got` at key path `where`, as a person knows it from the file."""
    shown = f"{got!s:.60}"
    if isinstance(got, dict):
        shown = "a table"
    elif isinstance(got, list):
        shown = "an array of tables" if got and isinstance(got[0], dict) else "an array"
    elif isinstance(got, bool):
        shown = f"the boolean {str(got).lower()}"
    elif isinstance(got, str):
        shown = f"the string {got[:60]!r}"
    return ShapeError(where, f"expected {expected}, got {shown}")


@dataclass(frozen=True, slots=True)
class Table:
    """A table and the key path that leads to it ("" for the file itself)."""

    where: str
    values: Mapping[str, Any]

    @classmethod
    def of(cls, where: str, raw: Mapping[str, Any]) -> Table:
        """Fold the keys of `raw`."""
        return cls(where, {key.lower(): raw[key] for key in sorted(raw)})

    def path(self, key: str) -> str:
        """Return the full key path of `key`, for messages."""
        return f"{self.where}.{key}" if self.where else key

    def text(self, key: str) -> str:
        """Return a string; a date is one, to flyctl."""
        value = self.values.get(key, "")
        if isinstance(value, date | time):
            return value.isoformat()
        if not isinstance(value, str):
            raise wrong(self.path(key), "a string", value)
        return value

    def boolean(self, key: str, *, default: bool) -> bool:
        """Return a boolean."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise wrong(self.path(key), "true or false", value)
        return value

    def integer(self, key: str) -> int:
        """Return an integer."""
        value = self.values.get(key, 0)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong(self.path(key), "an integer", value)
        return value

    def lenient_integer(self, key: str) -> int:
        """Return an integer, also from text such as "8080" or a number with a fraction."""
        value = self.values.get(key, 0)
        text = isinstance(value, str) and _DIGITS.fullmatch(value)
        if isinstance(value, bool) or not (text or isinstance(value, int | float)):
            raise wrong(self.path(key), "an integer", value)
        try:
            return int(value)
        except (ValueError, OverflowError):
            raise wrong(self.path(key), "an integer", value) from None

    def texts(self, key: str) -> tuple[str, ...]:
        """Return an array of strings."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise wrong(self.path(key), "an array of strings", value)
        return tuple(value)

    def table(self, key: str) -> Table | None:
        """Return a table, or None when there is none."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise wrong(self.path(key), "a table", value)
        return Table.of(self.path(key), value)

    def tables(self, key: str) -> tuple[Table, ...]:
        """Return an array of tables; one table stands for an array of one."""
        value = self.values.get(key, [])
        return self._entries(key, [value] if isinstance(value, dict) else value)

    def strict_tables(self, key: str) -> tuple[Table, ...]:
        """Return an array of tables, which one table is not."""
        return self._entries(key, self.values.get(key, []))

    def _entries(self, key: str, value: object) -> tuple[Table, ...]:
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise wrong(self.path(key), "an array of tables", value)
        return tuple(Table.of(f"{self.path(key)}[{n}]", item) for n, item in enumerate(value))
