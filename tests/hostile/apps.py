"""The three apps of a siege: the hostile one, a victim beside it, a stranger in another organisation."""

from __future__ import annotations

import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.hostile.planting import MEMORY_MB

if TYPE_CHECKING:
    from tests.hostile.planting import Plants

HERE = Path(__file__).parent
PORT = 8080
_FLY_TOML = """\
app = "{name}"
primary_region = "ams"
[env]
{env}
[processes]
app = "{command}"
[[vm]]
memory = "{memory}mb"
[http_service]
internal_port = {port}
auto_stop_machines = "{autostop}"
"""


def write_apps(directory: Path, plants: Plants, *, with_image: bool) -> dict[str, Path]:
    """Write a directory with a fly.toml for each app, with its program; return the files."""
    configs = {}
    for name in ("hostile", "victim", "stranger"):
        place = directory / name
        place.mkdir(exist_ok=True)
        env = {"ANSWER": plants.marker[f"{name}-answer"], "MARKER": plants.marker[name],
               "CHATTER": plants.marker["chatter"]} if name != "hostile" else {}  # fmt: skip
        program = "-m program --serve" if name == "hostile" else str(place / "victim.py")
        command = f"{sys.executable} {program} {PORT}"
        text = _FLY_TOML.format(
            name=name, port=PORT, memory=MEMORY_MB, autostop="off",
            env="\n".join(f'{key} = "{value}"' for key, value in env.items()),
            command=command,
        )  # fmt: skip
        if name == "hostile" and with_image:
            text = re.sub(r"\[processes\]\n.*\n", "", text)
        (place / "fly.toml").write_text(text)
        if name == "hostile":
            shutil.copytree(HERE / "program", place / "program", ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(HERE / "victim.py", place)
        configs[name] = place / "fly.toml"
    return configs


def pids_of(word: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if word.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found
