"""A laptop on the internet: the host's programs and files, its own network, and a peer configuration file.

wg-quick is unmodified, so it asks `resolvconf` to set the DNS server.  The laptop's /etc/resolv.conf is a mount, which
the usual ones cannot replace, so it has a small one of its own, first in PATH.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.start.etc import laptop_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.children import Children
    from lab.ground import MachineProcess
    from lab.start.launcher import Launcher, OwnNetwork

DIRECTORY = "/run/laptop"
PEER_FILE = f"{DIRECTORY}/peer.conf"
_PROGRAMS = f"{DIRECTORY}/bin"
_RESOLVCONF = f"""\
#!/bin/sh
# Of what 'resolvconf -a NAME' was given, the newest that no 'resolvconf -d NAME' took back is in force.
set -eu
kept={DIRECTORY}/resolv
case "${{1-}} ${{2-}}" in
"-a "?*) cat >"$kept/$2" ;;
"-d "?*) rm -f "$kept/$2" ;;
*) echo "resolvconf: expected -a NAME or -d NAME, got: $*" >&2; exit 2 ;;
esac
newest=$(ls -t "$kept" | head -n1)
cat "$kept/${{newest:-../resolv.conf}}" >/etc/resolv.conf
"""


class Laptop:
    """A laptop that is on; whether its tunnel is up is its user's business."""

    def __init__(self, process: MachineProcess, launcher: Launcher, children: Children) -> None:
        """Keep its init, and what starts programs beside it."""
        self.process = process
        self._launcher = launcher
        self._children = children

    @property
    def env(self) -> Mapping[str, str]:
        """What programs on it are to have in their environment: the probe is found, as on a shell Machine."""
        own = str(Path(sys.executable).parent)
        return {"PATH": os.pathsep.join([_PROGRAMS, own, os.environ.get("PATH", os.defpath)])}

    @classmethod
    async def start(
        cls, name: str, own: OwnNetwork, configuration: str, *, launcher: Launcher, children: Children
    ) -> Laptop:
        """Turn a laptop on, in its network namespace, with `configuration` as its peer file."""
        from lab.ground import MachineProcess  # noqa: PLC0415 - ground imports the wiring

        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            files = laptop_files(name)
            launch = launcher.start_shell(name, files=files, own=own, output=null)
            started = await children.adopt(launch)
        finally:
            os.close(null)
        laptop = cls(MachineProcess(*started, users=own.users), launcher, children)
        _furnish(Path(f"/proc/{laptop.process.pid}/root"), configuration)
        await laptop._cover_other_resolvconf()
        return laptop

    async def execute(self, argv: Sequence[str], streams: Sequence[int]) -> int:
        """Run a program of the lab's on it; return the exit status."""
        from lab.ground import MachineProcess  # noqa: PLC0415

        env = {**os.environ, **self.env}
        launch = self._launcher.execute(
            self.process.pid, argv, env, directory="/", streams=streams, users=self.process.users
        )
        return await MachineProcess(*await self._children.adopt(launch)).ended()

    async def bring_tunnel_up(self) -> None:
        """Run `wg-quick up` on the peer file; what it prints goes to standard error."""
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = await self.execute(["wg-quick", "up", PEER_FILE], [null, 2, 2])
        finally:
            os.close(null)
        if status:
            raise LabError(f"'wg-quick up {PEER_FILE}' on the laptop ended with status {status}; it said why above")

    async def _cover_other_resolvconf(self) -> None:
        """Put ours over one beside wg-quick: that directory is searched before PATH."""
        if other := _beside_wg_quick("resolvconf"):
            status = await self.execute(["mount", "--bind", f"{_PROGRAMS}/resolvconf", str(other)], [0, 2, 2])
            if status:
                raise LabError(f"the laptop's resolvconf could not be mounted over {other}: status {status}")


def _beside_wg_quick(name: str) -> Path | None:
    found = Path(shutil.which("wg-quick") or "/usr/bin/wg-quick").resolve().with_name(name)
    return found if found.exists() else None


def _furnish(root: Path, configuration: str) -> None:
    """Write what only a laptop has into its own /run."""
    home = root / DIRECTORY[1:]
    (home / "bin").mkdir(parents=True)
    (home / "resolv").mkdir()
    (home / "resolv.conf").write_text((root / "etc/resolv.conf").read_text())
    shim = home / "bin" / "resolvconf"
    shim.write_text(_RESOLVCONF)
    shim.chmod(0o755)
    peer_file = root / PEER_FILE[1:]
    peer_file.touch(0o600)
    peer_file.write_text(configuration)
