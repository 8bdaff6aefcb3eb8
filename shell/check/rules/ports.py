"""Whether the ports that clients dial lead to a port that is bound.

Rules (docs/fly.md, "fly.toml": flyctl checks none of this)
- Ports are 1 to 65535; flyctl takes an `internal_port` that is not there for 0, where Fly's page says 8080.
- Two services of a Machine cannot have one port of one protocol; `[http_service]` has 80 and 443. Two process groups
  can: then Fly Proxy sends a caller to a Machine of either.
- Fly Proxy never rewrites the port of a datagram. Fly's own SSH server has port 22 of every Machine.
- Where this blueprint's service says which port it binds, `internal_port` must be that one. Another app may not read
  its PORT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.check.finding import Scope, error, warning
from shell.check.subject import is_http, listed_under, looked_up_under

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.check.finding import Finding
    from shell.check.subject import Subject
    from shell.flytoml import Port, Service

HIGHEST = 65535
_SSH = 22

INTERNAL_PORT_MISSING = error(
    "internal-port-missing",
    "flyctl takes it for 0, a port that nobody can bind, though Fly's page says that the default is 8080.",
    "Set internal_port to the port that the app listens on.",
    Scope.BLUEPRINT,
)
INTERNAL_PORT = error(
    "internal-port",
    "Fly Proxy dials a port that nothing listens on: every request waits, then fails with 502.",
    "Set internal_port and the port in [env] to the same number.",
    Scope.BLUEPRINT,
)
SSH_PORT = error(
    "ssh-port",
    "Port 22 of every Machine belongs to Fly's own SSH server, so the app cannot have it.",
    "Let the app listen on another port, such as 2222, and set internal_port to that; clients can still dial port 22.",
)
UDP_PORT = error(
    "udp-port",
    "Fly Proxy never rewrites the port of a datagram: it arrives at the port that was dialled, not at internal_port.",
    "Give the UDP service the same number for port and internal_port.",
)
PORT_RANGE = error(
    "port-range", "No such port exists, so nothing is reached through it.", "Use a port from 1 to 65535."
)
PORT_MISSING = error(
    "port-missing",
    "An entry without a port opens nothing that a client could dial.",
    "Add port, or start_port and end_port.",
)
PORT_BACKWARDS = error(
    "port-backwards", "A range that ends before it begins holds no port.", "Exchange start_port and end_port."
)
PORT_CLASH = error(
    "port-clash",
    "A client that dials that port reaches one service or the other, and nobody can say which.",
    "Give one of the two services another port.",
)
GROUP_PORT_CLASH = warning(
    "group-port-clash",
    "An app has one Flycast address: a client that dials that port reaches a Machine of either process group.",
    "Give one of the groups another port, unless both answer alike.",
)
RULES = (
    INTERNAL_PORT_MISSING,
    INTERNAL_PORT,
    SSH_PORT,
    UDP_PORT,
    PORT_RANGE,
    PORT_MISSING,
    PORT_BACKWARDS,
    PORT_CLASH,
    GROUP_PORT_CLASH,
)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge the ports."""
    services = subject.services
    for service in services:
        yield from _internal(service)
        yield from _rewritten(service)
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
    elif port == _SSH:
        yield SSH_PORT.broken(place, "port 22 belongs to Fly's own SSH server", "internal_port = 2222, in the app too")
    else:
        yield from _outside(place, port)


def _rewritten(service: Service) -> Iterator[Finding]:
    """Judge the ports of a UDP service: one of them must be the port that the app listens on."""
    ports = service.ports
    internal_port = service.internal_port
    if service.protocol.lower() != "udp" or not internal_port or not ports:
        return
    if not any(port.start_port <= internal_port <= port.end_port for port in ports):
        message = f"datagrams to port {ports[0].start_port} arrive there, not at internal_port {internal_port}"
        yield UDP_PORT.broken(_place(ports[0]), message, f"port = {internal_port}, or internal_port = the dialled port")


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
        for rule, groups in ((PORT_CLASH, service.processes), (GROUP_PORT_CLASH, ())):
            met = [furthest.get((protocol, group)) for group in looked_up_under(groups)]
            clash = next((it for it in met if it and it[1].end_port >= port.start_port), None)
            if clash:
                earlier, later = (clash[1], port) if clash[0] < place else (port, clash[1])
                message = f"port {port.start_port} is here and in {earlier.where}"
                yield rule.broken(_place(later), message, "give one of them another port")
                break
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
        known = f"PORT is {port}, HELLO_PORT is {hello_port}"
    else:
        doors = _http(services) or (services if len(services) == 1 else [])
        wrong = [] if any(service.internal_port == port for service in doors) else doors[:1]
        known = f"PORT is {port}"
    for service in wrong:
        message = f"internal_port is {service.internal_port}, and {known}"
        wanted = port if hello_port is None or service in _http(services) else hello_port
        either = "or the same number in [env]" if subject.is_blueprint else "if the app listens on PORT"
        fix = f"internal_port = {wanted}, {either}"
        yield INTERNAL_PORT.broken(f"{service.where}.internal_port", message, fix)


def _bound(service: Service, port: int, hello_port: int) -> set[int]:
    return {port} if is_http(service) else {port, hello_port}


def _http(services: list[Service]) -> list[Service]:
    return [service for service in services if any("http" in port.handlers for port in service.ports)]
