"""Every claim, in the order of the table.

The lab's rows are in the lab's own tests: who deletes the lab keeps the rest.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tests.bench import boot, hellos, memory, probe, throughput

if TYPE_CHECKING:
    from tests.bench.row import Row


def all_rows() -> dict[str, Row]:
    """Return every row by its name."""
    rows = [*boot.ROWS, *throughput.ROWS, *hellos.ROWS, *memory.ROWS, *probe.ROWS]
    if find_spec("tests.lab") and find_spec("tests.lab.bench.rows"):
        rows += import_module("tests.lab.bench.rows").ROWS
    return {row.name: row for row in rows}
