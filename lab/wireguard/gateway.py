"""The gateway of one organisation: WireGuard whose UDP socket is on the internet and whose inside is the router's.

An interface may leave the network namespace it was made in; the sockets of the process that made it stay.  So
wireguard-go starts on the internet, and its TUN then moves into the router of the private network.  When the process
ends its interface is gone; it is started anew, with the same key and the same peers, and peers find their way back.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.wireguard import uapi
from lab.wireguard.peers import addresses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from lab.background import Background
    from lab.ground import MachineProcess
    from lab.log import EventLog
    from lab.topology import Network
    from lab.wireguard.keys import KeyPair
    from lab.wireguard.peers import Peer

    Launch = Callable[[Sequence[str], Mapping[str, str], int, Callable[[str], None]], Awaitable[MachineProcess]]

_READY_SECONDS = 15
_PAUSE_SECONDS = 1.0  # between two starts, so that one that always fails does not spin
_READY_LINES = {"UAPI listener started", "UDP bind has been updated"}


class Gateway:
    """One gateway, up from `open` to the lab's end."""

    def __init__(
        self,
        network: Network,
        key: KeyPair,
        *,
        interface: str,
        internet: int,
        router: int,
        launch: Launch,
        peers: Callable[[], Iterable[Peer]],
        log: EventLog,
        background: Background,
    ) -> None:
        """Join two network namespaces, `internet` and `router`; `launch` starts a process in the first."""
        self._network = network
        self._key = key
        self._interface = interface
        self._internet = internet
        self._router = router
        self._launch = launch
        self._peers = peers
        self._log = log
        self._background = background
        self._said: deque[str] = deque(maxlen=20)
        self._awaited: set[str] = set()
        self._ready = asyncio.Event()
        self._up = asyncio.Event()
        self._process: MachineProcess | None = None

    @property
    def _socket_path(self) -> str:
        return f"/run/wireguard/{self._interface}.sock"

    async def open(self) -> None:
        """Bring it up; return when it answers peers, raise `LabError` when it does not."""
        process = await self._start()
        self._background.keep(f"the WireGuard gateway of {self._network.name}", self._keep_up(process))

    async def restart(self) -> None:
        """End the process and wait until the next one answers peers; `LabError` when it does not."""
        self._up.clear()
        if self._process is not None:
            self._process.send(signal.SIGTERM)
        await self._until_up()

    async def configure(self, lines: Sequence[str]) -> None:
        """Tell the process, or the next one when it is just being restarted; raise `LabError` when it cannot be."""
        await self._until_up()
        await uapi.configure(self._socket_path, lines)

    async def _until_up(self) -> None:
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._up.wait()
        except TimeoutError:
            raise LabError(f"the gateway of {self._network.name} is not up: {self._last_words()}") from None

    async def _keep_up(self, process: MachineProcess) -> None:
        while True:
            status = await process.ended()
            self._up.clear()
            self._say(f"WireGuard gateway ended with status {status}, starting it again", "warn")
            process = await self._start_again()

    async def _start_again(self) -> MachineProcess:
        while True:
            try:
                return await self._start()
            except LabError as error:
                self._say(str(error), "error")
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _start(self) -> MachineProcess:
        self._said.clear()
        self._awaited = set(_READY_LINES)
        self._ready.clear()
        argv = ["wireguard-go", "--foreground", self._interface]
        env = {"PATH": os.environ.get("PATH", os.defpath), "LOG_LEVEL": "verbose"}
        process = self._process = await self._launch(argv, env, self._internet, self._hear)
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._until_ready(process)
                await uapi.configure(self._socket_path, uapi.gateway_settings(self._key.private, [*self._peers()]))
                _move_inside(self._interface, self._internet, self._router, addresses(self._network))
        except (TimeoutError, LabError) as error:
            process.send(signal.SIGKILL)
            reason = str(error) or self._last_words()
            raise LabError(f"the WireGuard gateway of {self._network.name} did not come up: {reason}") from None
        self._up.set()
        self._say(f"WireGuard gateway of {self._network.name} is up")
        return process

    async def _until_ready(self, process: MachineProcess) -> None:
        ready = asyncio.create_task(self._ready.wait())
        ended = asyncio.create_task(process.ended())
        try:
            await asyncio.wait([ready, ended], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            ended.cancel()
        if not self._ready.is_set():
            raise LabError(self._last_words())

    def _hear(self, line: str) -> None:
        """Keep what it says until it is ready; later it tells of every keepalive."""
        if self._ready.is_set():
            return
        self._said.append(line)
        self._awaited -= {wanted for wanted in self._awaited if wanted in line}
        if not self._awaited:
            self._ready.set()

    def _last_words(self) -> str:
        told = [line for line in self._said if "DEBUG" not in line and line.isascii()]
        return " ".join(told[-1:]) or "wireguard-go said nothing"

    def _say(self, message: str, level: str = "info") -> None:
        self._log("wireguard", message, level=level)


def _move_inside(interface: str, internet: int, router: int, prefix: str) -> None:
    from lab.wire.netlink import Netlink  # noqa: PLC0415 - heavy, and loaded by now

    try:
        with Netlink(internet) as outside:
            outside.move(outside.index_of(interface), router)
        with Netlink(router) as inside:
            index = inside.index_of(interface)
            inside.link_up(index)
            inside.add_route(prefix, index=index)
    except OSError as error:
        raise LabError(f"its interface {interface} is lost: {error.strerror}") from None
