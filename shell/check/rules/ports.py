"""Whether the ports that clients dial lead to a port that is bound.

Rules (docs/fly.md, "fly.toml": flyctl checks none of this)
- Ports are 1 to 65535; flyctl takes an `internal_port` that is not there for 0.
- Two services of a Machine cannot have one port of one protocol; `[http_service]` has 80 and 443.
- Where the file or the Dockerfile tells which port the service binds, `internal_port` must be that one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.check.finding import error
from shell.check.subject import is_http, listed_under, looked_up_under

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.check.finding import Finding
    from shell.check.subject import Subject
    from shell.flytoml import Port, Service

HIGHEST = 65535

INTERNAL_PORT_MISSING = error(
    "internal-port-missing", "flyctl takes it for 0, so Fly Proxy dials a port that nobody can bind."
)
INTERNAL_PORT = error(
    "internal-port", "Fly Proxy dials a port that nothing listens on: every request waits, then fails with 502."
)
PORT_RANGE = error("port-range", "No such port exists, so nothing is reached through it.")
PORT_MISSING = error("port-missing", "An entry without a port opens nothing that a client could dial.")
PORT_BACKWARDS = error("port-backwards", "A range that ends before it begins holds no port.")
PORT_CLASH = error(
    "port-clash", "A client who dials that port reaches one service or the other, and nobody can say which."
)
RULES = (INTERNAL_PORT_MISSING, INTERNAL_PORT, PORT_RANGE, PORT_MISSING, PORT_BACKWARDS, PORT_CLASH)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge the ports."""
    services = subject.services
    for service in services:
        yield from _internal(service)
        if not is_http(service):
            for port in service.ports:
                yield from _dialled(port)
    yield from _elsewhere(subject)
    yield from _clashes(services)
    yield from _unbound(subject)


def _internal(service: Service) -> Iterator[Finding]:
    place, port = f"{service.where}.internal_port", service.internal_port
    if port == 0:
        message = "expected the port your app listens on, got none"
        yield INTERNAL_PORT_MISSING.broken(place, message, "internal_port = the port your app listens on")
    else:
        yield from _outside(place, port)


def _dialled(port: Port) -> Iterator[Finding]:
    if port.start_port == 0:
        yield PORT_MISSING.broken(port.where, "expected port, or start_port and end_port, got neither", "port = 80")
        return
    if port.start_port == port.end_port:
        yield from _outside(_place(port), port.start_port)
        return
    bad = [*_outside(_place(port), port.start_port), *_outside(f"{port.where}.end_port", port.end_port)]
    yield from bad
    if not bad and port.start_port > port.end_port:
        message = f"expected start_port at most end_port, got {port.start_port} and {port.end_port}"
        fix = f"start_port = {port.end_port}, end_port = {port.start_port}"
        yield PORT_BACKWARDS.broken(_place(port), message, fix)


def _place(port: Port) -> str:
    return f"{port.where}.{'port' if port.start_port == port.end_port else 'start_port'}"


def _elsewhere(subject: Subject) -> Iterator[Finding]:
    """Judge the ports of metrics and of checks by name."""
    named = [table for table, _ in subject.checks() if table.where.startswith("checks")]
    for table in (*subject.root.tables("metrics"), *named):
        if "port" in table.values:
            yield from _outside(table.path("port"), table.lenient_integer("port"))


def _outside(place: str, port: int) -> Iterator[Finding]:
    if not 1 <= port <= HIGHEST:
        yield PORT_RANGE.broken(place, f"expected a port from 1 to {HIGHEST}, got {port}", "name a port that exists")


def _clashes(services: tuple[Service, ...]) -> Iterator[Finding]:
    """Go up from the lowest port, and compare each with the one that reaches furthest in its process groups."""
    opened = [(service, port) for service in services for port in service.ports if 0 < port.start_port <= port.end_port]
    furthest: dict[tuple[str, str], tuple[int, Port]] = {}
    for place, (service, port) in sorted(enumerate(opened), key=lambda item: item[1][1].start_port):
        protocol = service.protocol.lower()
        met = [furthest.get((protocol, group)) for group in looked_up_under(service.processes)]
        clash = next((it for it in met if it and it[1].end_port >= port.start_port), None)
        if clash:
            earlier, later = (clash[1], port) if clash[0] < place else (port, clash[1])
            message = f"expected each port once, got {port.start_port} here and in {earlier.where}"
            yield PORT_CLASH.broken(_place(later), message, "give one of them another port")
        for group in listed_under(service.processes):
            known = furthest.get((protocol, group))
            if known is None or known[1].end_port < port.end_port:
                furthest[protocol, group] = (place, port)


def _unbound(subject: Subject) -> Iterator[Finding]:
    services = [service for service in subject.services if service.internal_port]
    port, hello_port = subject.bound_port("PORT"), subject.bound_port("HELLO_PORT")
    if port is None:
        return
    if subject.is_blueprint and hello_port is not None:
        wrong = [service for service in services if service.internal_port not in _bound(service, port, hello_port)]
        known = f"PORT {port} and HELLO_PORT {hello_port}"
    else:
        doors = _http(services) or (services if len(services) == 1 else [])
        wrong = [] if any(service.internal_port == port for service in doors) else doors[:1]
        known = f"PORT {port}"
    for service in wrong:
        message = f"expected a port that the service binds, {known}, got {service.internal_port}"
        wanted = port if hello_port is None or service in _http(services) else hello_port
        fix = f"internal_port = {wanted}, or the same number in [env]"
        yield INTERNAL_PORT.broken(f"{service.where}.internal_port", message, fix)


def _bound(service: Service, port: int, hello_port: int) -> set[int]:
    return {port} if is_http(service) else {port, hello_port}


def _http(services: list[Service]) -> list[Service]:
    return [service for service in services if any("http" in port.handlers for port in service.ports)]
