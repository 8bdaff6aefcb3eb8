"""`[[restart]]` as values (docs/fly.md, "fly.toml").

- flyctl takes an array of tables only; without `processes` an entry is for every group that no other one names.
- `retries` is None when the file does not say it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shell.flytoml.table import wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.flytoml.table import Table


@dataclass(frozen=True, slots=True)
class Restart:
    """One `[[restart]]` entry; `where` is its key path."""

    policy: str
    retries: int | None = None
    processes: tuple[str, ...] = ()
    where: str = field(default="", compare=False)


def restarts(root: Table) -> Iterator[Restart]:
    """Read every restart policy of the file."""
    if isinstance(root.values.get("restart"), dict):
        raise wrong("restart", "an array of tables, [[restart]]", root.values["restart"])
    for table in root.tables("restart"):
        retries = table.integer("retries") if "retries" in table.values else None
        yield Restart(table.text("policy"), retries, table.texts("processes"), table.where)
