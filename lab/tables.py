"""The status of a lab as tables for a person.  Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Heading, key, and the value that is not worth a column when every row has it.
_APPS = (
    ("APP", "name", None),
    ("ORG", "organisation", "personal"),
    ("FLYCAST ADDRESS", "flycast_ip", None),
    ("REACHED FROM", "flycast_in", "personal"),
)
_MACHINES = (
    ("MACHINE", "id", None),
    ("APP", "app", None),
    ("ORG", "organisation", "personal"),
    ("GROUP", "process_group", "app"),
    ("REGION", "region", None),
    ("STATE", "state", None),
    ("LOAD", "load", None),
    ("CHECKS", "checks", ""),
    ("STARTS", "starts", None),
    ("6PN ADDRESS", "private_ip", None),
)


def status_lines(status: Mapping[str, Any]) -> list[str]:
    """Return the apps, an empty line, and the Machines."""
    return [*_table(_APPS, status["apps"]), "", *machine_lines(status)]


def machine_lines(status: Mapping[str, Any]) -> list[str]:
    """Return the Machines, with a line of headings."""
    return _table(_MACHINES, status["machines"])


def _table(columns: Iterable[tuple[str, str, str | None]], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    shown = [(head, key) for head, key, dull in columns if any(row[key] != dull for row in rows)]
    cells = [[head for head, _ in shown], *([str(row[key]) for _, key in shown] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
