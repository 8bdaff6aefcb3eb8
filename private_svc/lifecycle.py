"""The life of the process: hello at once, admin when it is imported, then wait for a reason to leave, drain, leave."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
import traceback
from ipaddress import ip_network
from typing import TYPE_CHECKING, NoReturn

from private_svc import __version__, authorities, ingress, logs
from private_svc.activity import Activity
from private_svc.awake import Awake
from private_svc.config import ConfigError
from private_svc.context import Context
from private_svc.departure import Departure
from private_svc.exposure import Exposure
from private_svc.heartbeat import beat
from private_svc.hello import Hello
from private_svc.machine import whoami
from private_svc.suspend import Suspender

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from private_svc.boot import Boot
    from private_svc.config import Config
    from private_svc.listeners import Listener
    from private_svc.machine import Machine
    from private_svc.peers import Directory
    from private_svc.web.admin import Admin
    from private_svc.web.scrape import Scrape

SIGNALS = (signal.SIGINT, signal.SIGTERM)
OPEN_FILES_WANTED = 16384  # both queues, taken at once when we leave, and everybody who is open
CANNOT_BE_USED = 2  # the exit status for APP, as for every other setting


def run(config: Config, environ: Mapping[str, str], boot: Boot, listeners: tuple[Listener, ...]) -> NoReturn:
    """Serve on the bound listeners, admin first, then hello, until there is a reason to leave; exit with status 0."""
    logs.configure(config.log_format, sys.stdout)
    for listener in listeners:
        logs.event("listening", listener=listener.name, address=listener.address, reach=listener.reach)
    _allow_open_files()
    asyncio.run(_live(_context(config, whoami(environ), boot, listeners)))
    raise AssertionError("expected _live to leave the process, it returned")


def _context(config: Config, machine: Machine, boot: Boot, listeners: tuple[Listener, ...]) -> Context:
    activity = Activity()
    who = ingress.classifier(_here(config, machine))
    exposure = Exposure(machine.app_name, activity)
    return Context(config, machine, boot, listeners, who, activity, exposure, Awake())


async def _live(context: Context) -> None:
    departure = Departure()
    _on_signals(departure)
    admin, hello, *metrics = (_socket(listener) for listener in context.listeners)
    greeter = Hello(asyncio.get_running_loop(), hello, context)
    greeter.start()
    suspender = Suspender(context.machine)
    opening = asyncio.create_task(_open(context, departure, suspender, admin, metrics))
    opening.add_done_callback(lambda task: departure.because("cannot serve") if _failure(task) else None)
    beating = asyncio.create_task(beat(context, departure, suspender, opening))
    reason = await departure.reason()
    drain_seconds = context.config.drain_seconds
    logs.event("draining", reason=reason, drain_seconds=drain_seconds)
    cut_hellos, cut_connections = await asyncio.gather(
        greeter.drain(drain_seconds), _drain_admin(opening, drain_seconds)
    )
    beating.cancel()
    context.activity.cut += cut_hellos + cut_connections
    level = logging.WARNING if cut_hellos or cut_connections else logging.INFO
    logs.event("leaving", level=level, cut_connections=cut_connections, cut_hellos=cut_hellos)
    # Nothing is left to tidy, and taking the interpreter down under a thread that still imports can crash it.
    os._exit(_exit_status(opening))


async def _open(
    context: Context,
    departure: Departure,
    suspender: Suspender,
    admin: socket.socket,
    metrics: list[socket.socket],
) -> Admin:
    """Import what answers HTTP, and answer; raise `ConfigError` when APP cannot be used."""
    loop, boot = asyncio.get_running_loop(), context.boot
    admin_type, scrape_type = await loop.run_in_executor(None, _import_http)
    boot.stamp("imported")
    opened = admin_type(context, departure, suspender, _directory(context.machine.app_name))
    await opened.start(admin)
    boot.stamp("serving")
    logs.event("serving", version=__version__, boot_ms=round(boot.phases_ms["serving"], 1))
    for listening in metrics:
        scrape_type(context).start(listening)
    return opened


def _import_http() -> tuple[type[Admin], type[Scrape]]:
    """Import aiohttp and what is built on it; most of the boot."""
    with authorities.awaited():
        from private_svc.web.admin import Admin  # noqa: PLC0415 - while hello is already answered
        from private_svc.web.scrape import Scrape  # noqa: PLC0415
    gc.freeze()  # what was imported stays: nobody needs to look through it again
    gc.enable()
    return Admin, Scrape


def _directory(app_name: str | None) -> Directory | None:
    """Return what knows the other Machines; None off Fly, where there are none."""
    if app_name is None:
        return None
    from private_svc.peers import Directory  # noqa: PLC0415 - only on Fly

    return Directory(app_name)


async def _drain_admin(opening: asyncio.Task[Admin], seconds: float) -> int:
    """Drain the admin listener; one that is still being opened first answers who is queued, if there is time."""
    loop = asyncio.get_running_loop()
    leave_at_s = loop.time() + seconds
    await asyncio.wait((opening,), timeout=seconds)
    if not opening.done() or _failure(opening):
        return 0
    return await opening.result().drain(max(0.0, leave_at_s - loop.time()))


def _failure(opening: asyncio.Task[Admin]) -> BaseException | None:
    """Return why the admin listener is not served, or None when it is, or may yet be."""
    if not opening.done():
        return None
    return asyncio.CancelledError("APP cancelled itself") if opening.cancelled() else opening.exception()


def _exit_status(opening: asyncio.Task[Admin]) -> int:
    """Return 0, or say on stderr why the admin listener was never served, and return the status for that."""
    error = _failure(opening)
    if error is None:
        return 0
    if not isinstance(error, ConfigError):
        traceback.print_exception(error)
        return 1
    print(error, file=sys.stderr, flush=True)
    if error.__cause__ is not None:
        traceback.print_exception(error.__cause__)
    return CANNOT_BE_USED


def _on_signals(departure: Departure) -> None:
    """Leave on the first signal; a second one ends the process at once, even where your application holds the loop."""
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def caught(number: int, _: FrameType | None) -> None:
        received.append(number)
        name = signal.Signals(number).name
        if len(received) > 1:
            try:
                logs.event("leaving at once", level=logging.WARNING, signal=name)
            finally:
                os._exit(128 + number)
        loop.call_soon_threadsafe(departure.because, name)

    for number in SIGNALS:
        signal.signal(number, caught)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # held back since before the bind


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
