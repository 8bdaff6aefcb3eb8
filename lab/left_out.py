"""What a fly.toml asks for and a lab does not do, told before somebody takes its absence for Fly's behaviour.  Pure.

Only keys are here that change what an app finds, runs or answers (docs/fly.md, "fly.toml"); how its image is built and
what its Machines cost does not show in a lab.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shell.flytoml import FlyToml

_SERVICE = r"(?:http_service|services(?:\[\d+\])?)"
_PORT = r"(?:http_service|services(?:\[\d+\])?\.ports(?:\[\d+\])?)"
_INSTEAD = {
    r"mounts?": "no volume is mounted, and what is written there is gone at the next start",
    r"files": "no file is written",
    r"statics": "nothing is served but by the app itself",
    r"deploy\.(?:release|seed)_command": "it is not run",
    rf"(?:{_SERVICE}\.)?machine_checks": "they are not run",
    r"experimental\.(?:cmd|entrypoint|exec)": "the command stays as it is; give another with --command",
    rf"{_PORT}\.http_options\.(?:compress|h2_backend|headers_read_timeout|idle_timeout|replay_cache|response)": (
        "the proxy does as it does by default"
    ),
}


def left_out(config: FlyToml) -> tuple[str, ...]:
    """Return a line for each key of `config` that a lab does not carry out, with its place in the file."""
    return tuple(
        f"{config.place(key)}: not in a lab: {instead}"
        for key in config.lines.known
        for pattern, instead in _INSTEAD.items()
        if re.fullmatch(pattern, key)
    )
