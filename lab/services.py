"""What the lab can serve of a fly.toml, checked before anything starts.  Pure.

Rules (docs/fly.md, "Proxy", "Who is calling" and "fly.toml", which lists what flyctl itself lets pass):

- A service is TCP, has an `internal_port`, and counts `requests` or `connections` up to limits above 0.
- A port is 1 to 65535, a range does not run backwards, and no port is asked for twice in one app.
- The handlers here are none, `http` and `proxy_proto`, one of them a port: a PROXY preface is for raw TCP.
- A port with `tls` is left out: Flycast has no certificates. A service with no other port is told about.
- `force_https` is for a port with `http` only: a deploy fails otherwise.
- A service names only process groups that the file has.
- `kill_signal` is one of those Fly passes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.errors import UsageError
from shell.flytoml import ShapeError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from shell.flytoml import FlyToml, Port, Service

MAX_PORTS = 1024  # each is a listening socket of the lab
_LAST_PORT = 65535
_HANDLERS = {"http", "tls", "proxy_proto"}
_PREFACES = ("v1", "v2")
_CONCURRENCY = ("requests", "connections")
_KILL_SIGNALS = ("SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGSTOP")


def check(config: FlyToml, groups: Collection[str]) -> None:
    """Raise `UsageError`, naming file, line and key, for what the lab cannot run as it stands."""
    try:
        _check(config, groups)
    except ShapeError as error:
        raise UsageError(f"{config.path}:{config.lines.line_of(error.where)}: {error}") from None


def served_ports(service: Service) -> Iterator[tuple[int, Port]]:
    """Yield each port that clients can dial over Flycast, with its entry."""
    for entry in service.ports:
        if "tls" not in entry.handlers:
            for port in range(entry.start_port, entry.end_port + 1):
                yield port, entry


def unreachable(app_name: str, services: Iterable[Service]) -> list[str]:
    """Return a line for each service that nobody can reach over Flycast, because all its ports have `tls`."""
    return [
        f"app {app_name!r}: the service on internal port {service.internal_port} has only ports with tls "
        f"({', '.join(str(port.start_port) for port in service.ports)}); Flycast has no certificate, so none is "
        "served; give it a port without tls"
        for service in services
        if service.ports and not any(served_ports(service))
    ]


def _check(config: FlyToml, groups: Collection[str]) -> None:
    if config.kill_signal not in _KILL_SIGNALS:
        raise ShapeError("kill_signal", f"expected one of {', '.join(_KILL_SIGNALS)}, got {config.kill_signal!r:.60}")
    for name, value in config.env.items():
        if not name or "=" in name or "\0" in name + value:
            problem = f"expected a variable without NUL, its name without '=', got {name[:60]!r}"
            raise ShapeError(f"env.{name}" if name else "env", problem)
    taken: set[int] = set()
    for service in config.services:
        _check_service(service, groups)
        for entry in service.ports:
            _check_entry(entry)
        for port, entry in served_ports(service):
            if port in taken:
                raise ShapeError(entry.where, f"expected a port of its own, got {port}, which is taken already")
            taken.add(port)
    if len(taken) > MAX_PORTS:
        raise ShapeError("services", f"the lab listens on at most {MAX_PORTS} ports an app, got {len(taken)}")


def _check_service(service: Service, groups: Collection[str]) -> None:
    if not 1 <= service.internal_port <= _LAST_PORT:
        got = service.internal_port or "none"
        expected = "expected the port the app listens on, 1 to 65535"
        raise ShapeError(f"{service.where}.internal_port", f"{expected}, got {got}")
    if service.protocol != "tcp":
        raise ShapeError(f"{service.where}.protocol", f"the lab serves tcp only, got {service.protocol!r:.60}")
    limits, where = service.concurrency, f"{service.where}.concurrency"
    if limits.type not in _CONCURRENCY:
        raise ShapeError(f"{where}.type", f"expected requests or connections, got {limits.type!r:.60}")
    if limits.soft_limit < 1:
        raise ShapeError(f"{where}.soft_limit", f"expected a limit above 0, got {limits.soft_limit}")
    if limits.hard_limit is not None and limits.hard_limit < 1:
        raise ShapeError(f"{where}.hard_limit", f"expected a limit above 0, got {limits.hard_limit}")
    for group in service.processes:
        if group not in groups:
            raise ShapeError(f"{service.where}.processes", f"expected some of {', '.join(groups)}, got {group!r:.60}")


def _check_entry(entry: Port) -> None:
    if not 1 <= entry.start_port <= entry.end_port <= _LAST_PORT:
        got = f"{entry.start_port} to {entry.end_port}"
        raise ShapeError(entry.where, f"expected ports within 1 to 65535, got {got}")
    unknown = sorted(set(entry.handlers) - _HANDLERS)
    if unknown:
        raise ShapeError(
            f"{entry.where}.handlers",
            f"the lab has http, tls and proxy_proto only, got {', '.join(unknown)!r:.99}; "
            "give the lab a fly.toml without it",
        )
    if entry.force_https and "http" not in entry.handlers:
        got = ", ".join(entry.handlers) or "none"
        problem = f"expected http among the handlers, got {got}; a deploy would fail"
        raise ShapeError(f"{entry.where}.force_https", problem)
    if {"http", "proxy_proto"} <= set(entry.handlers):
        raise ShapeError(
            f"{entry.where}.handlers",
            "proxy_proto is for raw TCP here, got http with it; "
            "remove it: an http service has the client's address in Fly-Client-IP",
        )
    if "proxy_proto" in entry.handlers and entry.proxy_proto_version not in _PREFACES:
        got = f"{entry.proxy_proto_version:.60}"
        problem = f"expected {' or '.join(_PREFACES)}, got {got!r}"
        raise ShapeError(f"{entry.where}.proxy_proto_options.version", problem)
