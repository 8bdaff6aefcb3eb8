"""Rows of /healthz under load, and what wrk itself can do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.bench import programs, wrk
from tests.bench.row import Better, Compared, Pair, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

CONNECTIONS = 32


def rate(port: int, path: str = "/healthz") -> Callable[[], float]:
    """Return how to count the requests a second of the server on `port`."""
    return lambda: wrk.load(port, path, CONNECTIONS).per_second


@contextmanager
def service_and_bare_aiohttp() -> Iterator[Pair]:
    """Load the service and the bare aiohttp app."""
    with programs.service() as (_, ports), programs.bare_aiohttp() as (_, port):
        yield Pair(rate(ports["PORT"]), rate(port))


@contextmanager
def both_logging_each_request() -> Iterator[Pair]:
    """Load an application in the service, behind its guard, and the same one by itself."""
    app = {"APP": programs.BARE_AIOHTTP_AS_APP, "PYTHONPATH": str(programs.PROJECT)}
    with programs.service(app) as (_, ports), programs.bare_aiohttp("log") as (_, port):
        yield Pair(rate(ports["PORT"], "/app/healthz"), rate(port))


@contextmanager
def nginx_and_bare_aiohttp() -> Iterator[Pair]:
    """Load nginx, which answers from its configuration, and the bare aiohttp app."""
    with programs.nginx() as trivial, programs.bare_aiohttp() as (_, port):
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


ROWS = (
    _row("healthz", f"/healthz, keep-alive, {CONNECTIONS} connections", "bare aiohttp", 0.9, service_and_bare_aiohttp),
    _row(
        "app",
        f"an application's answer, each request logged, {CONNECTIONS} connections",
        "bare aiohttp with its access log",
        1.0,
        both_logging_each_request,
    ),
    _row(
        "wrk-ceiling", "wrk against a trivial nginx", "wrk against bare aiohttp", None, nginx_and_bare_aiohttp, "nginx"
    ),
)
