"""The life of the process: hello at once, admin when it is imported, then wait for a signal, drain, leave."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
from ipaddress import ip_network
from typing import TYPE_CHECKING, NoReturn

from private_svc import __version__, ingress, logs
from private_svc.activity import Activity
from private_svc.hello import Hello
from private_svc.machine import whoami

if TYPE_CHECKING:
    from collections.abc import Mapping

    from private_svc.boot import Boot
    from private_svc.config import Config
    from private_svc.listeners import Listener
    from private_svc.machine import Machine
    from private_svc.web.admin import Admin

SIGNALS = (signal.SIGINT, signal.SIGTERM)
OPEN_FILES_WANTED = 16384  # both queues, taken at once when we leave, and everybody who is open


def run(config: Config, environ: Mapping[str, str], boot: Boot, admin: Listener, hello: Listener) -> NoReturn:
    """Serve on the bound listeners until a signal, then leave with status 0."""
    logs.configure(config.log_format, sys.stdout)
    for listener in (admin, hello):
        logs.event("listening", listener=listener.name, address=listener.address, reach=listener.reach)
    _allow_open_files()
    asyncio.run(_live(config, whoami(environ), boot, admin, hello))
    raise AssertionError("expected _live to leave the process, it returned")


async def _live(config: Config, machine: Machine, boot: Boot, admin: Listener, hello: Listener) -> None:
    loop = asyncio.get_running_loop()
    stop = _on_signals(loop)
    who = ingress.classifier(_here(config, machine))
    activity = Activity()

    async def open_admin() -> Admin:
        admin_type = await loop.run_in_executor(None, _import_admin)
        boot.stamp("imported")
        opened = admin_type(who, activity, boot, machine, (admin, hello), private_only=config.private_only)
        await opened.start(_socket(admin))
        boot.stamp("serving")
        logs.event("serving", version=__version__, boot_ms=round(boot.phases_ms["serving"], 1))
        return opened

    greeter = Hello(loop, _socket(hello), who, activity, boot)
    greeter.start()
    opening = asyncio.create_task(open_admin())
    await asyncio.wait((stop, opening), return_when=asyncio.FIRST_COMPLETED)
    if opening.done():
        opening.result()
    received = await stop
    logs.event("draining", signal=received.name, drain_seconds=config.drain_seconds)
    cut_hellos, cut_connections = await asyncio.gather(
        greeter.drain(config.drain_seconds), _drain_admin(opening, config.drain_seconds)
    )
    level = logging.WARNING if cut_hellos or cut_connections else logging.INFO
    logs.event("leaving", level=level, cut_connections=cut_connections, cut_hellos=cut_hellos)
    # Nothing is left to tidy, and taking the interpreter down under a thread that still imports can crash it.
    os._exit(0)


def _import_admin() -> type[Admin]:
    """Import aiohttp and the web application; most of the boot."""
    gc.disable()  # imports make next to no garbage; looking for it while they run costs a tenth of the boot
    try:
        from private_svc.web.admin import Admin  # noqa: PLC0415 - while hello is already answered
    finally:
        gc.enable()
    gc.freeze()
    return Admin


async def _drain_admin(opening: asyncio.Task[Admin], seconds: float) -> int:
    """Drain the admin listener; one that is still being opened first answers who is queued, if there is time."""
    loop = asyncio.get_running_loop()
    leave_at_s = loop.time() + seconds
    await asyncio.wait((opening,), timeout=seconds)
    return await opening.result().drain(max(0.0, leave_at_s - loop.time())) if opening.done() else 0


def _on_signals(loop: asyncio.AbstractEventLoop) -> asyncio.Future[signal.Signals]:
    """Return a future of the first signal; a second one ends the process at once."""
    first: asyncio.Future[signal.Signals] = loop.create_future()

    def caught(received: signal.Signals) -> None:
        if not first.done():
            first.set_result(received)
            return
        logs.event("leaving at once", level=logging.WARNING, signal=received.name)
        os._exit(128 + received)

    for number in SIGNALS:
        loop.add_signal_handler(number, caught, number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # held back since before the bind
    return first


def _here(config: Config, machine: Machine) -> ingress.Here:
    own = ingress.parse(machine.private_ip or "")
    return ingress.Here(
        platform_networks=tuple(map(ip_network, config.platform_networks)),
        own_addresses=frozenset([own] if own is not None else []),
    )


def _socket(listener: Listener) -> socket.socket:
    listening = socket.socket(fileno=listener.socket.detach())
    listening.setblocking(False)
    return listening


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(OPEN_FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
