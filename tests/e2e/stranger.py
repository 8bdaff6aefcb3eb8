"""An app by somebody whom the caller does not trust, and what it finds out in its Machine."""

from __future__ import annotations

import ast
import re
import sys
from typing import TYPE_CHECKING, Any

from tests.e2e.running import RunningLab

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_FLY_TOML = """\
app = "stranger"
primary_region = "ams"
{first}
[processes]
app = "{command}"
[[restart]]
policy = "never"
"""


def stranger(
    directory: Path, script: str, *, command: str = f"{sys.executable} app.py", first: str = "", more: str = ""
) -> Path:
    """Write an app whose program is a Python script; return its fly.toml."""
    directory.mkdir(exist_ok=True)
    (directory / "app.py").write_text(script)
    config = directory / "fly.toml"
    config.write_text(_FLY_TOML.format(command=command, first=first) + more)
    return config


def found_by(config: Path, before: Sequence[str] = ()) -> Any:
    """Run the app in a lab started behind the words `before`; return what its script prints as `found: VALUE`."""
    with RunningLab(configs=[config], before=before) as lab:
        said = re.search(r"found: (.*)", lab.wait_for("found: "))
    assert said is not None
    return ast.literal_eval(said[1])
