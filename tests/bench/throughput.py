"""Rows of /healthz under load, and what wrk itself can do."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tests.bench import programs, wrk
from tests.bench.row import BenchError, Better, Compared, Pair, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

CONNECTIONS = 32


def rate(port: int, path: str = "/healthz") -> Callable[[], float]:
    """Return how to count the requests a second of the server on `port`."""
    return lambda: wrk.load(port, path, CONNECTIONS).per_second


def economy(pid: int, port: int) -> Callable[[], float]:
    """Return how to count the requests that a second of a server's processor time is good for."""

    def sample() -> float:
        before_seconds = programs.cpu_seconds(pid)
        requests = wrk.load(port, "/healthz", CONNECTIONS).requests
        return requests / (programs.cpu_seconds(pid) - before_seconds)

    return sample


@contextmanager
def service_and_bare_aiohttp() -> Iterator[Pair]:
    """Load the service and the bare aiohttp app."""
    with programs.service() as (_, ports), programs.bare_aiohttp() as (_, port):
        yield Pair(rate(ports["PORT"]), rate(port))


@contextmanager
def costs() -> Iterator[Pair]:
    """Compare what the service and the bare aiohttp app give for their processor time."""
    with programs.service() as (service, ports), programs.bare_aiohttp() as (bare, port):
        yield Pair(economy(service, ports["PORT"]), economy(bare, port))


@contextmanager
def both_logging_each_request() -> Iterator[Pair]:
    """Load an application in the service, behind its guard, and the same one by itself."""
    app = {"APP": programs.BARE_AIOHTTP_AS_APP}
    with programs.service(app) as (_, ports), programs.bare_aiohttp("log") as (_, port):
        yield Pair(rate(ports["PORT"], "/app/healthz"), rate(port))


@contextmanager
def service_and_uvicorn() -> Iterator[Pair]:
    """Load the service and a hello under uvicorn."""
    if find_spec("uvicorn") is None:
        raise BenchError("not installed: uvicorn")
    with programs.service() as (_, ports), programs.uvicorn() as port:
        yield Pair(rate(ports["PORT"]), rate(port))


@contextmanager
def nginx_and_bare_aiohttp() -> Iterator[Pair]:
    """Load nginx, which answers from its configuration, and the bare aiohttp app."""
    with programs.nginx(programs.TRIVIAL) as trivial, programs.bare_aiohttp() as (_, port):
        yield Pair(rate(trivial), rate(port))


def _row(
    name: str,
    title: str,
    peer: str,
    target: float | None,
    measure: Callable[[], AbstractContextManager[Pair]],
    *needs: str,
) -> Row:
    return Row(name, title, "/s", peer, Compared.RATIO, Better.MORE, target, measure, ("wrk", *needs))


_TITLE = f"/healthz, keep-alive, {CONNECTIONS} connections"
ROWS = (
    _row("healthz", _TITLE, "bare aiohttp", 0.9, service_and_bare_aiohttp),
    _row("healthz-cpu", "/healthz, requests a second of the server's CPU time", "bare aiohttp", None, costs),
    _row(
        "app",
        f"an application's answer, each request logged, {CONNECTIONS} connections",
        "bare aiohttp with its access log",
        None,
        both_logging_each_request,
    ),
    _row("healthz-uvicorn", _TITLE, "bare ASGI under uvicorn", None, service_and_uvicorn),
    _row(
        "wrk-ceiling", "wrk against a trivial nginx", "wrk against bare aiohttp", 2.0, nginx_and_bare_aiohttp, "nginx"
    ),
)
