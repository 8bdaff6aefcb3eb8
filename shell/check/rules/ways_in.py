"""Whether a client on the private network can come in through the Flycast address.

Rules (docs/fly.md, "Proxy" and "Who is calling")
- Flycast has no certificate: a redirect to https is a closed door, and so are ports with TLS where no plain port leads
  to the same place. A public website wants that redirect, so only a private app is told to take it out.
- Behind `pg_tls` a client that asks for no TLS gets through (sslmode=disable).
- `force_https` on a port without the http handler fails the deploy.
- An app without a service, or a service without a port, has no Flycast door at all; a worker needs none.
- Only the http handler overwrites `Fly-Client-IP`, by which the blueprint's service tells callers apart. Behind a port
  without it, a caller writes that header itself.
- A PROXY preface is read by who expects it and spoils the stream for who does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.check.finding import Edit, Scope, error, warning
from shell.check.subject import is_http

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.check.finding import Finding
    from shell.check.subject import Subject
    from shell.flytoml import Port, Service

HANDLERS = ("http", "tls", "pg_tls", "proxy_proto", "edge_http")
PROTOCOLS = ("tcp", "udp")
_TLS = {"tls"}

FORCE_HTTPS = error(
    "force-https",
    "Fly Proxy answers 301 to https, where Flycast has no certificate: every request over Flycast breaks.",
    "Set force_https = false in a private app; a public website keeps it.",
    Scope.PRIVATE,
)
FORCE_HTTPS_HANDLER = error(
    "force-https-handler",
    "flyctl lets it pass, and the deploy fails: force_https needs the http handler on the same port.",
    'Take force_https out, or write handlers = ["http"].',
)
TLS_ONLY = error(
    "tls-only",
    "Flycast has no certificate, so no client on the private network gets through this service.",
    "Add a port without TLS to the service of a private app; a public service keeps its TLS.",
    Scope.PRIVATE,
)
NO_SERVICE = warning(
    "no-service",
    "Without a service Fly Proxy has nowhere to send anybody: Flycast refuses everyone.",
    "Add an [http_service] with the internal_port of the app, unless nobody is to call it.",
)
NO_PORTS = warning(
    "no-ports", "Nobody can dial a service that has no port.", "Add [[services.ports]], unless nobody is to call it."
)
UNKNOWN_HANDLER = error(
    "unknown-handler",
    "flyctl lets it pass, and Fly Proxy does not do what you meant.",
    "Name a handler that exists, or none for raw TCP.",
)
TCP_HANDLER = warning(
    "tcp-handler",
    "Fly's page knows no handler of this name: bytes pass unchanged where there is no handler.",
    "Write handlers = [], or leave handlers out.",
)
UNKNOWN_PROTOCOL = error(
    "unknown-protocol",
    "flyctl lets it pass, and Fly Proxy has no such service to offer.",
    'Write protocol = "tcp" or protocol = "udp".',
)
UDP_HANDLERS = warning("udp-handlers", "Handlers work on TCP connections: datagrams pass none.", "Write handlers = [].")
PROXY_PROTO = error(
    "proxy-proto",
    "Where one side sends the PROXY preface and the other does not expect it, or the reverse, every connection breaks.",
    "Use the proxy_proto handler together with HELLO_PROXY_PROTOCOL=on, or neither of them.",
    Scope.BLUEPRINT,
)
FORGED_CLIENT = error(
    "forged-client",
    "Without the http handler Fly Proxy passes Fly-Client-IP on as the caller wrote it: a public caller passes for one "
    "on your private network.",
    'Write handlers = ["http"] for every port in front of PORT.',
    Scope.BLUEPRINT,
)
PROXY_PROTO_VERSION = error(
    "proxy-proto-version", "A preface of a version that nobody knows is not read.", 'Write version = "v1" or "v2".'
)
RULES = (
    FORCE_HTTPS,
    FORCE_HTTPS_HANDLER,
    TLS_ONLY,
    NO_SERVICE,
    NO_PORTS,
    UNKNOWN_HANDLER,
    TCP_HANDLER,
    UNKNOWN_PROTOCOL,
    UDP_HANDLERS,
    PROXY_PROTO,
    PROXY_PROTO_VERSION,
    FORGED_CLIENT,
)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge every door."""
    services = subject.services
    if not services:
        message = "expected [http_service] or [[services]], got neither"
        yield NO_SERVICE.broken("", message, "add an [http_service] with the internal_port of your app")
    plain = {service.internal_port for service in services for port in service.ports if not _TLS & set(port.handlers)}
    for service in services:
        yield from _of_service(subject, service, plain)
        for port in service.ports:
            yield from _of_entry(subject, service, port)
        yield from _preface(subject, service)
        yield from _forged_client(subject, service)


def _of_service(subject: Subject, service: Service, plain: set[int]) -> Iterator[Finding]:
    where = service.where
    ports = service.ports
    if is_http(service) and any(port.force_https for port in ports):
        yield _force_https(subject, where)
    if not ports:
        yield NO_PORTS.broken(where, "expected at least one [[services.ports]], got none", "add one, with a port")
    elif service.internal_port not in plain:
        dialled = ", ".join(str(port.start_port) for port in ports)
        message = f"expected a port without TLS, got only ports with it: {dialled}"
        yield TLS_ONLY.broken(where, message, 'add a port with handlers = ["http"], or with none for raw TCP')
    protocol = service.protocol.lower()
    if protocol not in PROTOCOLS:
        message = f"expected {_list(PROTOCOLS)}, got {protocol!r:.60}"
        yield UNKNOWN_PROTOCOL.broken(f"{service.where}.protocol", message, 'protocol = "tcp"')


def _of_entry(subject: Subject, service: Service, port: Port) -> Iterator[Finding]:
    handlers = port.handlers
    if port.force_https and not is_http(service):
        yield _force_https(subject, port.where) if "http" in handlers else _force_https_alone(port.where)
    place = f"{port.where}.handlers"
    datagrams = service.protocol.lower() == "udp"
    for handler in () if datagrams else handlers:
        if handler == "tcp":
            yield TCP_HANDLER.broken(place, "there is no tcp handler", "handlers = []")
        elif handler not in HANDLERS:
            message = f"expected handlers out of {_list(HANDLERS)}, got {handler!r:.60}"
            yield UNKNOWN_HANDLER.broken(place, message, "name a handler that exists, or none for raw TCP")
    if handlers and datagrams:
        message = f"expected no handlers with udp, got {', '.join(handlers)[:60]}"
        yield UDP_HANDLERS.broken(place, message, "handlers = []")
    version = port.proxy_proto_version
    if version not in {"v1", "v2"}:
        message = f"expected v1 or v2, got {version!r:.60}"
        yield PROXY_PROTO_VERSION.broken(f"{port.where}.proxy_proto_options.version", message, 'version = "v2"')


def _force_https(subject: Subject, where: str) -> Finding:
    place = f"{where}.force_https"
    message = "force_https = true redirects to https"
    if not subject.kind.is_private:  # a public website would lose its redirect: --fix leaves it
        return FORCE_HTTPS.broken(place, message, "force_https = false where the app is private (check --private)")
    return FORCE_HTTPS.broken(place, message, "force_https = false", Edit(place, value=False))


def _force_https_alone(where: str) -> Finding:
    message = "force_https = true on a port without the http handler"
    return FORCE_HTTPS_HANDLER.broken(f"{where}.force_https", message, 'force_https = false, or handlers = ["http"]')


def _preface(subject: Subject, service: Service) -> Iterator[Finding]:
    internal_port = service.internal_port
    if internal_port == subject.bound_port("PORT"):
        expects, reader, fix = False, "the admin listener reads none", 'handlers = ["http"]'
    elif internal_port == subject.bound_port("HELLO_PORT"):
        setting = subject.setting("HELLO_PROXY_PROTOCOL")
        expects, reader = setting == "on", f"HELLO_PROXY_PROTOCOL is {(setting or 'off')!r:.60}"
        fix = 'both or neither: handlers = ["proxy_proto"] and HELLO_PROXY_PROTOCOL = "on"'
    else:
        return
    if not subject.is_blueprint:
        return
    for port in service.ports:
        sends = "proxy_proto" in port.handlers
        if sends != expects:
            message = f"expected both sides to agree, got {'a' if sends else 'no'} PROXY preface sent, and {reader}"
            yield PROXY_PROTO.broken(f"{port.where}.handlers", message, fix)


def _forged_client(subject: Subject, service: Service) -> Iterator[Finding]:
    if not subject.is_blueprint or service.internal_port != subject.bound_port("PORT"):
        return
    for port in service.ports:
        if "http" not in port.handlers:
            got = ", ".join(port.handlers)[:60] or "none"
            message = f"expected the http handler in front of PORT {service.internal_port}, got {got}"
            yield FORGED_CLIENT.broken(f"{port.where}.handlers", message, 'handlers = ["http"]')


def _list(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
