"""How much memory `[[vm]]` asks for, in MiB.

Rules (docs/fly.md, "fly.toml")
- `memory`, else `memory_mb`, else what the preset `size` has, else 256 MiB.  A bare number is in MiB.
- A size nobody can read counts as not given: only a deploy would reject it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shell.flytoml.gotext import go_text
from shell.flytoml.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_MEMORY_MB = 256
_PRESET_MB: Mapping[str, int] = {"shared-cpu": 256, "performance": 2048}  # for each CPU
_PRESET = re.compile(r"(shared-cpu|performance)-(\d{1,3})x", re.ASCII)
_MEMORY = re.compile(r"(\d{1,9}(?:\.\d+)?)\s*(kb|mb|gb|tb|kib|mib|gib|tib|k|m|g|t|)", re.ASCII | re.IGNORECASE)
_MIB_PER_UNIT: Mapping[str, float] = {"": 1.0, "k": 1 / 1024, "m": 1.0, "g": 1024.0, "t": 1024.0 * 1024}


def memory_mb(root: Table) -> int:
    """Return the memory of the first `[[vm]]` of the file."""
    table = next((table for key in ("vm", "compute", "computes") for table in root.tables(key)), Table("vm", {}))
    size = _MEMORY.fullmatch(go_text(table.values.get("memory", "")).strip())
    if size and (mib := int(float(size[1]) * _MIB_PER_UNIT[size[2][:1].lower()])):
        return mib
    preset = _PRESET.fullmatch(table.text("size"))
    of_preset = _PRESET_MB[preset[1]] * int(preset[2]) if preset else 0
    return table.integer("memory_mb") or of_preset or DEFAULT_MEMORY_MB
