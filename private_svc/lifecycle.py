"""The life of the process: hello at once, admin when it is imported, then wait for a signal, drain, leave."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
from functools import partial
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, TypeVar

from private_svc import __version__, ingress, logs
from private_svc.activity import Activity
from private_svc.hello import Hello
from private_svc.machine import whoami

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from private_svc.boot import Boot
    from private_svc.config import Config
    from private_svc.listeners import Listener
    from private_svc.machine import Machine
    from private_svc.web.server import Admin

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)
OPEN_FILES_WANTED = 8192
IMPORT_THREAD = "import aiohttp"


def run(config: Config, environ: Mapping[str, str], boot: Boot, admin: Listener, hello: Listener) -> int:
    """Serve on the bound listeners until a signal; return the exit status."""
    logs.configure(config.log_format, sys.stdout)
    for listener in (admin, hello):
        logs.event("listening", listener=listener.name, address=listener.address, reach=listener.reach)
    _allow_open_files()
    status = asyncio.run(_live(config, whoami(environ), boot, admin, hello))
    if any(thread.name == IMPORT_THREAD for thread in threading.enumerate()):
        # Taking the interpreter down under a thread that is importing C extensions crashed one exit in 150.
        logging.shutdown()
        os._exit(status)
    return status


async def _live(
    config: Config, machine: Machine, boot: Boot, admin_listener: Listener, hello_listener: Listener
) -> int:
    loop = asyncio.get_running_loop()
    stop = _on_signals(loop)
    who = ingress.classifier(_here(config, machine))
    activity = Activity()

    hello = Hello(loop, _socket(hello_listener), who, activity, boot)
    hello.start()
    server = await _unless(stop, _in_thread(loop, _import_admin))
    admin = None
    if server is not None:
        boot.stamp("imported")
        listeners = (admin_listener, hello_listener)
        admin = server(who, activity, boot, machine, listeners, private_only=config.private_only)
        await admin.start(loop, _socket(admin_listener))
        boot.stamp("serving")
        logs.event("serving", version=__version__, boot_ms=round(boot.phases_ms["serving"], 1))
    received = await stop
    await _drain(received, config.drain_seconds, hello, admin)
    return 0


def _import_admin() -> type[Admin]:
    """Import aiohttp and the web application; most of the boot."""
    gc.disable()  # imports make next to no garbage; looking for it while they run costs a tenth of the boot
    try:
        from private_svc.web.server import Admin  # noqa: PLC0415 - while hello is already answered
    finally:
        gc.enable()
    gc.freeze()
    return Admin


async def _drain(received: signal.Signals, seconds: float, hello: Hello, admin: Admin | None) -> None:
    logs.event("draining", signal=received.name, drain_seconds=seconds)
    cut_hellos, cut_connections = await asyncio.gather(
        hello.drain(seconds), admin.drain(seconds) if admin is not None else asyncio.sleep(0, result=0)
    )
    level = logging.WARNING if cut_hellos or cut_connections else logging.INFO
    logs.event("leaving", level=level, cut_connections=cut_connections, cut_hellos=cut_hellos)


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


async def _unless(stop: asyncio.Future[signal.Signals], work: asyncio.Future[T]) -> T | None:
    """Return what `work` gives, or None as soon as `stop` comes first."""
    either: set[asyncio.Future[Any]] = {stop, work}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    return None if stop.done() else work.result()


def _in_thread(loop: asyncio.AbstractEventLoop, work: Callable[[], T]) -> asyncio.Future[T]:
    """Run `work` in a daemon thread: unlike an executor's, nobody waits for it when the process leaves."""
    done: asyncio.Future[T] = loop.create_future()

    def body() -> None:
        settle: partial[None]
        try:
            settle = partial(done.set_result, work())
        except Exception as error:  # noqa: BLE001 - it is raised again where the work is awaited
            settle = partial(done.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: we left meanwhile
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=body, name=IMPORT_THREAD, daemon=True).start()
    return done


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
