"""What the proxy needs of a Machine, whoever makes it: namespaces in the lab, loopback in a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket

    from lab.states import MachineState


class Backend(Protocol):
    """One Machine of the app, as the proxy sees it."""

    @property
    def machine_id(self) -> str:
        """The Machine's id."""

    @property
    def region(self) -> str:
        """The region it runs in."""

    @property
    def process_group(self) -> str:
        """The process group it belongs to."""

    @property
    def state(self) -> MachineState:
        """The state now; a change is visible before any of the waits below returns."""

    def serves(self, internal_port: int) -> bool:
        """Tell whether its health checks let requests for that port come here."""

    async def start(self) -> None:
        """Return once started; join a start in progress; raise `MachineStartError` when it cannot start."""

    async def settled(self) -> None:
        """Return when the Machine is neither starting nor stopping."""

    async def exited(self) -> None:
        """Return when the process that runs now has ended, at once when none runs."""

    def dial(self, port: int) -> socket.socket:
        """Return an unconnected non-blocking IPv4 socket, already where it can reach internal port `port`."""

    def endpoint(self, port: int) -> tuple[str, int]:
        """Return the address to connect that socket to."""
