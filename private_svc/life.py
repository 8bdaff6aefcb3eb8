"""The life of the process: start, serve until there is a reason to leave, drain, leave.

The raw port is served first, because what it needs is imported by then; the admin listener is served once aiohttp is.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import logging
import os
import resource
import socket
import sys
import threading
import traceback
from contextlib import suppress
from ipaddress import ip_network
from typing import TYPE_CHECKING, NoReturn

from private_svc import __version__, ca_certificates, ingress, logs
from private_svc.activity import Activity
from private_svc.awake import Awake
from private_svc.config import ConfigError
from private_svc.context import Context
from private_svc.departure import Departure, failure, leave_on_signals, watch_idle_time
from private_svc.exposure import Exposure
from private_svc.machine import whoami
from private_svc.raw import RawPort
from private_svc.suspend import Suspender
from private_svc.words import HELLO, Words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from private_svc.boot import Boot
    from private_svc.config import Config
    from private_svc.listeners import Listener
    from private_svc.machine import Machine
    from private_svc.peers import Directory
    from private_svc.sessions import Handler
    from private_svc.web.admin import Admin
    from private_svc.web.scrape import Scrape

OPEN_FILES_WANTED = 16384  # both queues, taken at once when we leave, and every open connection
LEAVE_SECONDS = 1.0  # for the atexit functions of your application, and for a reader of its last prints
CANNOT_BE_USED = 2  # the exit status for APP, RAW and AUTH, as for every other setting


def run(config: Config, environ: Mapping[str, str], boot: Boot, listeners: tuple[Listener, ...]) -> NoReturn:
    """Serve on the bound listeners until there is a reason to leave; end the process, with status 0 if all is well."""
    logs.configure(config.log_format, sys.stdout)
    for listener in listeners:
        logs.event("listening", listener=listener.name, address=listener.address, reach=listener.reach)
    _allow_open_files()
    _leave(asyncio.Runner().run(_live(_context(config, whoami(environ), boot, listeners))))


async def _live(context: Context) -> int:
    """Start, serve until there is a reason to leave, and drain; return the exit status."""
    departure = Departure()
    leave_on_signals(departure)
    sockets = {listener.name: _socket(listener) for listener in context.listeners}
    suspender = Suspender(context.machine)

    raw = asyncio.create_task(_serve_raw(context, sockets.get("hello")), name="the raw port")
    admin = asyncio.create_task(_serve_http(context, departure, suspender, sockets), name="the admin listener")
    watch = asyncio.create_task(watch_idle_time(context, departure, suspender, admin), name="the idle watch")
    parts: tuple[asyncio.Task[Any], ...] = (raw, admin, watch)
    for part in parts:
        departure.if_it_fails(part)

    reason = await departure.reason()
    drain_seconds = context.config.drain_seconds
    logs.event("draining", reason=reason, drain_seconds=drain_seconds)
    cut_hellos, cut_connections = await asyncio.gather(_drain(raw, drain_seconds), _drain(admin, drain_seconds))
    level = logging.WARNING if cut_hellos or cut_connections else logging.INFO
    logs.event("leaving", level=level, cut_connections=cut_connections, cut_hellos=cut_hellos)
    return max(map(_exit_status, parts))


async def _serve_raw(context: Context, listening: socket.socket | None) -> RawPort | None:
    """Serve the raw port, unless it is off; raise `ConfigError` when RAW cannot be used."""
    if listening is None:
        return None
    loop = asyncio.get_running_loop()
    port = RawPort(loop, listening, context, await _raw_handler(context.config))
    port.start()
    return port


async def _raw_handler(config: Config) -> Words | Handler:
    if config.raw is None:
        return HELLO
    from private_svc.seams import check_arguments, load  # noqa: PLC0415 - needed where RAW names a handler

    # In a thread: the import of your module may take long, and a signal is obeyed meanwhile.
    handler = await asyncio.get_running_loop().run_in_executor(None, load, "RAW", *config.raw)
    if not (isinstance(handler, Words) or callable(handler)):
        expected = f"a coroutine function, a protocol factory or Words in {config.raw[0]}"
        raise ConfigError([f"RAW: expected {expected}, got {config.raw[1]} = {handler!r}"])
    if not isinstance(handler, Words):
        from private_svc.sessions import takes_streams  # noqa: PLC0415 - needed for a handler with sessions

        check_arguments("RAW", handler, *(("reader", "writer", "caller") if takes_streams(handler) else ("caller",)))
    return handler


async def _serve_http(
    context: Context, departure: Departure, suspender: Suspender, sockets: Mapping[str, socket.socket]
) -> Admin:
    """Import what answers HTTP, and answer; raise `ConfigError` when APP cannot be used."""
    loop, boot = asyncio.get_running_loop(), context.boot
    admin_type, scrape_type = await loop.run_in_executor(None, _import_http)
    boot.stamp("imported")
    admin = admin_type(context, departure, suspender, _directory(context.machine.app_name))
    await admin.start(sockets["admin"])
    boot.stamp("serving")
    logs.event("serving", version=__version__, boot_ms=round(boot.phases_ms["serving"], 1))
    if "metrics" in sockets:
        scrape_type(context).start(sockets["metrics"])
    return admin


def _import_http() -> tuple[type[Admin], type[Scrape]]:
    """Import aiohttp and what is built on it; most of the boot."""
    with ca_certificates.deferred():
        from private_svc.web.admin import Admin  # noqa: PLC0415 - while the raw port is already served
        from private_svc.web.scrape import Scrape  # noqa: PLC0415
    gc.freeze()  # what was imported lives for ever: exclude it from garbage collection
    gc.enable()
    return Admin, Scrape


async def _drain(serving: asyncio.Task[Any], seconds: float) -> int:
    """Drain a listener, once it is served; return how many connections were cut after `seconds`."""
    loop = asyncio.get_running_loop()
    leave_at_s = loop.time() + seconds
    await asyncio.wait((serving,), timeout=seconds)
    if not serving.done() or failure(serving) is not None or serving.result() is None:
        return 0
    cut: int = await serving.result().drain(max(0.0, leave_at_s - loop.time()))
    return cut


def _exit_status(part: asyncio.Task[Any]) -> int:
    """Return 0, or say on stderr why a part of the service failed, and return the status for that."""
    error = failure(part)
    if error is None:
        return 0
    if not isinstance(error, ConfigError):
        traceback.print_exception(error)
        return 1
    print(error, file=sys.stderr, flush=True)
    if error.__cause__ is not None:
        traceback.print_exception(error.__cause__)
    return CANNOT_BE_USED


def _leave(status: int) -> NoReturn:
    """Run your application's atexit functions, send what it printed, and exit, after `LEAVE_SECONDS` at the latest.

    The interpreter itself is not taken down: that waits for threads, and can crash under one that still imports.
    """
    deadline = threading.Timer(LEAVE_SECONDS, os._exit, (status,))
    deadline.daemon = True
    try:
        deadline.start()
        logs.flush()
        atexit._run_exitfuncs()  # noqa: SLF001 - the one way to run them without taking the interpreter down
        logs.flush()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # nobody reads it, it is closed, or there is none
                stream.flush()
    finally:
        os._exit(status)


def _context(config: Config, machine: Machine, boot: Boot, listeners: tuple[Listener, ...]) -> Context:
    own = ingress.parse(machine.private_ip or "")
    here = ingress.Here(
        platform_networks=tuple(map(ip_network, config.platform_networks)),
        own_addresses=frozenset([own] if own is not None else []),
    )
    activity = Activity()
    exposure = Exposure(machine.app_name, activity)
    return Context(config, machine, boot, listeners, ingress.Classifier(here), activity, exposure, Awake())


def _directory(app_name: str | None) -> Directory | None:
    """Return what knows the other Machines; None off Fly, where there are none."""
    if app_name is None:
        return None
    from private_svc.peers import Directory  # noqa: PLC0415 - only on Fly

    return Directory(app_name)


def _socket(listener: Listener) -> socket.socket:
    listening = socket.socket(fileno=listener.socket.detach())
    listening.setblocking(False)
    return listening


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(OPEN_FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
