"""`run`, `up` and `demo`: enter the sandbox, lay the network, do the work, and be gone.

The order matters.  The launcher is forked first, while this process is small and has one thread; the network
is laid before the event loop starts; whatever ends the work ends pid 1, and with it everything else.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any, cast

from lab.control import open_door
from lab.errors import CommandError, LabError, RefusedError
from lab.inheritance import current_directory, heeded
from lab.log import EVERY_LEVEL, LineLog, writers
from lab.sandbox import run_in_sandbox
from lab.start.host_files import require_targets
from lab.states import ASLEEP
from lab.streams import printed, queued_output
from lab.wireguard.peers import LAPTOP

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from lab.cli import LabOptions
    from lab.ground import MachineProcess, NamespaceGround
    from lab.idmap import Range
    from lab.image.archive import Image
    from lab.start.launcher import Launcher, OwnNetwork
    from lab.supervisor import Lab
    from lab.topology import Network, Topology
    from lab.wire import Wiring
    from lab.wireguard.segment import Ends
    from lab.wireguard.tunnels import Tunnels

    Work = Callable[["Session"], Awaitable[int]]

_OF_THE_TERMINAL = ("TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES")


def run(topology: Topology, options: LabOptions, program: Sequence[str]) -> int:
    """Run `program` on a shell Machine of a fresh lab; return its exit status."""

    async def work(session: Session) -> int:
        session.lab.begin_autostop()
        return await session.run_in_foreground(program, LAPTOP if options.laptop else "shell")

    return _within(topology, options, work, LineLog(*writers(options.log_file, "stderr", {"error"})))


def up(topology: Topology, options: LabOptions) -> int:
    """Keep a lab up until it is interrupted or taken down; print its log."""

    async def work(session: Session) -> int:
        session.lab.begin_autostop()
        apps = ", ".join(f"{app.name} at {app.flycast_ip}" for app in topology.apps)
        print(f"A Machine may write {options.disk_mb} MB of files, which are kept in memory (--disk).", flush=True)
        print(f"The lab is up: {apps}. In another terminal: flycast-lab shell. Ctrl-C ends it.", flush=True)
        await session.taken_down.wait()
        return 0

    return _within(topology, options, work, LineLog(*writers(options.log_file, "stdout", EVERY_LEVEL)))


def demo(topology: Topology, options: LabOptions) -> int:
    """Show the whole idea, in namespaces where the host allows them, else reduced on loopback."""
    from lab.host import hints, survey  # noqa: PLC0415

    found = survey()
    heard: list[str] = []
    log = LineLog(*writers(options.log_file, "stderr", {"error"}), lambda line: heard.append(str(line)))
    if found.works:
        from lab.demo import walk_through  # noqa: PLC0415

        return _within(topology, options, lambda session: walk_through(session, heard), log)
    from lab import loopback  # noqa: PLC0415
    from lab.doctor import describe  # noqa: PLC0415

    if topology.images:
        raise LabError("--image: this host does not allow the namespaces that it takes; see 'flycast-lab doctor'")
    if not options.unsafe:
        raise LabError(
            "this host does not allow a lab, and the walkthrough on loopback would run the app as a plain process of "
            "yours; where you trust it, go on with --unsafe, else see 'flycast-lab doctor'"
        )
    print("\n".join(describe(found, hints())), flush=True)
    with queued_output(options.log_file):
        return asyncio.run(loopback.walk_through(topology, options, log))


class Session:
    """A lab that is up, its shell Machines, and what may be asked of them from a terminal."""

    def __init__(
        self, lab: Lab, ground: NamespaceGround, shells: Sequence[MachineProcess], tunnels: Tunnels | None
    ) -> None:
        """Keep the parts; `shells` are the inits of the shell Machines, in the order of the networks."""
        self.lab = lab
        self.taken_down = asyncio.Event()
        self.foreground: MachineProcess | None = None
        self._ground = ground
        self._tunnels = tunnels
        self._shells = tuple(zip(lab.topology.shells, shells, strict=True))

    def status(self) -> dict[str, Any]:
        """Return apps and Machines as JSON values."""
        return self.lab.status()

    def take_down(self) -> None:
        """End the lab."""
        self.taken_down.set()

    async def command(self, verb: str, machine_id: str) -> str:
        """Start, stop or suspend a Machine; return the state it is in then."""
        return await self.lab.command(verb, machine_id)

    def switch_faults(self, texts: Sequence[str]) -> list[str]:
        """Switch faults on or off; return those that are on then."""
        return self.lab.switch_faults(texts)

    async def wireguard(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Create, list or remove a WireGuard peer, or restart a gateway."""
        if self._tunnels is None:
            raise LabError("this lab has no WireGuard gateway; start one that has: flycast-lab up --laptop")
        return await self._tunnels.answer(request)

    async def run_in_foreground(self, program: Sequence[str], machine_id: str = "shell") -> int:
        """Run a program of this terminal, to which Ctrl-C belongs meanwhile; return its exit status."""
        self.foreground = await self._on_this_terminal(program, machine_id)
        try:
            return await self.foreground.ended()
        finally:
            self.foreground.send(signal.SIGTERM)
            self.foreground = None

    async def run_step(self, program: Sequence[str], machine_id: str = "shell") -> int:
        """Run a program as part of something larger, which Ctrl-C ends; return its exit status."""
        process = await self._on_this_terminal(program, machine_id)
        try:
            return await process.ended()
        finally:
            process.send(signal.SIGTERM)

    async def _on_this_terminal(self, program: Sequence[str], machine_id: str) -> MachineProcess:
        await printed()
        return await self.execute(machine_id, program, dict(os.environ), current_directory(), (0, 1, 2))

    async def execute(
        self,
        machine_id: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        directory: str,
        streams: Sequence[int],
        *,
        terminal: bool = False,
    ) -> MachineProcess:
        """Run a program on a shell Machine or a started one; with `terminal` the streams become its own terminal.

        On a shell Machine it has the caller's environment and directory.  An app's Machine has its own, and of the
        caller's only what describes the terminal: the app can read the environment of whatever runs beside it.
        """
        own_env, process = self._find(machine_id)
        if plan := process.plan:
            described = {name: env[name] for name in _OF_THE_TERMINAL if name in env}
            own_env, directory = {**described, **own_env}, plan.directory
        else:
            own_env = {**env, **own_env}
        return await self._ground.execute(
            process,
            argv,
            own_env,
            directory=directory,
            streams=streams,
            terminal=terminal,
            on_internet=machine_id == "internet",
        )

    async def execute_on_its_terminal(
        self, machine_id: str, argv: Sequence[str], env: Mapping[str, str], size: tuple[int, int]
    ) -> tuple[MachineProcess, int]:
        """Run a program in an app's Machine on a terminal of that Machine; return the lab's end of it, too."""
        _, process = self._find(machine_id)
        ours, its = self._ground.open_terminal(process, size)
        try:
            return await self.execute(machine_id, argv, env, "/", [its] * 3, terminal=True), ours
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(its)

    def _find(self, machine_id: str) -> tuple[Mapping[str, str], MachineProcess]:
        shells = self._named_hosts()
        ids = {plan.machine_id: (plan.env, process) for plan, process in self._shells}
        if found := shells.get(machine_id) or ids.get(machine_id):
            return found
        machine = self.lab.machines.get(machine_id)
        if machine is None:
            raise LabError(f"no Machine {machine_id!r}; there are: {', '.join([*shells, *self.lab.machines])}")
        if machine.process is None or machine.state in ASLEEP:
            raise LabError(f"Machine {machine_id} is {machine.state}; only a started one can run programs")
        return machine.plan.env, cast("MachineProcess", machine.process)

    def _named_hosts(self) -> dict[str, tuple[Mapping[str, str], MachineProcess]]:
        """Return what is not in a fly.toml: each network's shell Machine and laptop, and a host on the internet."""
        of_networks = {f"shell.{plan.network.name}": (plan.env, process) for plan, process in self._shells}
        first = next(iter(of_networks.values()))
        laptops = self._tunnels.laptops if self._tunnels else {}
        on_laptops = {name: (laptop.env, laptop.process) for name, laptop in laptops.items()}
        internet = {"internet": first} if self.lab.topology.public else {}
        return {"shell": first, **of_networks, **on_laptops, **internet}


def _within(topology: Topology, options: LabOptions, work: Work, log: LineLog) -> int:
    require_targets()
    door = open_door()

    @queued_output(options.log_file)
    def inside() -> int:
        from lab.start.launcher import Launcher  # noqa: PLC0415

        try:
            launcher = Launcher(options.disk_mb)
            from lab.wire import Wiring  # noqa: PLC0415 - heavy, and the zygote begins meanwhile

            _insist_on_a_boundary(launcher.wait_until_ready(), options)
            _raise_descriptor_limit()
            machines = launcher.networks(len(topology.machines))
            _unpack(topology.images, machines)
            shells = launcher.networks(len(topology.shells), shells=True)
            wiring = Wiring.lay(topology, [*machines, *shells])
            ends = _lay_for_laptops(topology, wiring, launcher) if options.laptop else {}
            return asyncio.run(_live(topology, options, launcher, wiring, ends, log, door, work))
        except CommandError as error:
            print(f"flycast-lab: {error}", file=sys.stderr)
            return error.status
        except RefusedError as error:
            print(f"flycast-lab: the host refused {error}; see 'flycast-lab doctor'", file=sys.stderr)
            return 1
        except LabError as error:
            print(f"flycast-lab: {error}", file=sys.stderr)
            return 1

    return run_in_sandbox(inside, _ids_for(topology.images))


def _insist_on_a_boundary(lacking: Sequence[str], options: LabOptions) -> None:
    """Raise `LabError` where this host cannot keep an app inside its Machine, unless the caller goes on without."""
    if lacking and not options.unsafe:
        raise LabError(
            f"an app could leave its Machine here, because this host does not give: {'; '.join(lacking)}. "
            f"Where you trust every app of this lab, go on with --unsafe"
        )
    for part in lacking:
        print(f"flycast-lab: Machines are not isolated here: this host does not give {part}", file=sys.stderr)


def _lay_for_laptops(topology: Topology, wiring: Wiring, launcher: Launcher) -> Mapping[Network, Ends]:
    if wiring.bridged_because:
        raise LabError(f"--laptop needs a router that forwards; the host refused {wiring.bridged_because}")
    from lab.wireguard import segment  # noqa: PLC0415 - only laptops need it

    return segment.lay(topology.networks, launcher.networks(len(topology.networks), shells=True))


def _ids_for(images: Sequence[Image]) -> tuple[Range, Range] | None:
    if not images:
        return None
    from lab.idmap import granted_ids  # noqa: PLC0415 - only images need more than one id

    return granted_ids(images)


def _unpack(images: Sequence[Image], machines: Sequence[OwnNetwork]) -> None:
    if images:
        from lab.image.unpack import unpack  # noqa: PLC0415 - only images need it

        for image in images:
            unpack(image, image.root, machines[0].users)


async def _live(
    topology: Topology, options: LabOptions, launcher: Launcher, wiring: Wiring, ends: Mapping[Network, Ends],
    log: LineLog, door: socket.socket, work: Work,
) -> int:  # fmt: skip
    from lab.children import Children  # noqa: PLC0415
    from lab.control import serve  # noqa: PLC0415
    from lab.ground import NamespaceGround  # noqa: PLC0415
    from lab.supervisor import GRACE_SECONDS, Lab  # noqa: PLC0415

    children = Children()
    ground = NamespaceGround(launcher, wiring, children)
    async with Lab(topology, ground, log, options) as lab:
        if wiring.bridged_because:
            _tell_of_bridges(wiring.bridged_because, log)
        shells = [await ground.spawn_shell(plan) for plan in topology.shells]
        tunnels = None
        if options.laptop:
            from lab.wireguard.tunnels import Tunnels  # noqa: PLC0415 - only laptops need them

            tunnels = Tunnels(ends, wiring.routers, lab, launcher, children, log)
            await tunnels.open(tunnel_up=options.tunnel)
        session = Session(lab, ground, shells, tunnels)
        callers = lab.background.keep("the door for other terminals", serve(door, session, log))
        try:
            return await _until_done_or_told(session, work)
        finally:
            callers.cancel()
            await lab.stop_machines(GRACE_SECONDS)
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # the loop closes its wake-up pipe next


def _tell_of_bridges(because: str, log: LineLog) -> None:
    from lab.wire.bridged import notice  # noqa: PLC0415 - loaded by now, and not before the launcher is forked

    log("lab", notice(because), level="warn")


async def _until_done_or_told(session: Session, work: Work) -> int:
    """Deploy and work; a signal ends either, and its number decides the exit status."""
    from lab.children import expect_many_ends  # noqa: PLC0415 - as above

    loop = asyncio.get_running_loop()
    told: list[signal.Signals] = []
    working = asyncio.ensure_future(session.lab.background.beside(_deploy_and(work, session)))
    down = asyncio.ensure_future(session.taken_down.wait())

    def tell(number: signal.Signals) -> None:
        if number is not signal.SIGINT or session.foreground is None:  # Ctrl-C reached the program itself
            told.append(number)
            working.cancel()

    for number in heeded(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, tell, number)
    expect_many_ends()
    await asyncio.wait([working, down], return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        tell(signal.SIGTERM)  # taken down from another terminal in the middle of its work
    down.cancel()
    try:
        return await working
    except asyncio.CancelledError:
        if not told:
            raise
        return 128 + told[0]


async def _deploy_and(work: Work, session: Session) -> int:
    await session.lab.deploy()
    return await work(session)


def _raise_descriptor_limit() -> None:
    """Use all descriptors the host grants: every Machine and connection takes some."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
