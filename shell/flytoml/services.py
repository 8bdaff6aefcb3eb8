"""`[http_service]` and `[[services]]` as values.

Rules (docs/fly.md, "fly.toml", "Proxy" and "Who is calling")
- `[http_service]` is a Service with the ports 80 (http) and 443 (tls, http); force_https belongs to port 80.
- `port` and `internal_port` as text, and "soft,hard" concurrency (of requests), are tolerated under `[[services]]`
  only; an empty entry there is dropped.
- `proxy_proto_options` holds the version of the PROXY preface, `v1` when it says nothing.
- A limit of 0 is no limit given: 20 for soft_limit, none for hard_limit.
- No internal or client port is 0.  Who uses the value complains.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shell.escape import printable
from shell.flytoml.autostop import AutoStop, auto_stop
from shell.flytoml.table import ShapeError, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.flytoml.table import Table

_DEFAULT_SOFT_LIMIT = 20


@dataclass(frozen=True, slots=True)
class Port:
    """One port, or an inclusive range of ports, that clients dial; `where` is its key path."""

    start_port: int
    end_port: int
    handlers: tuple[str, ...] = ()
    force_https: bool = False
    proxy_proto_version: str = "v1"
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How load is counted (`requests` or `connections`) and the two limits on it."""

    type: str = "connections"
    soft_limit: int = _DEFAULT_SOFT_LIMIT
    hard_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """An `[http_service]` (ports 80 and 443) or one `[[services]]` entry; `where` is its key path."""

    internal_port: int
    protocol: str = "tcp"
    ports: tuple[Port, ...] = ()
    concurrency: Concurrency = field(default_factory=Concurrency)
    auto_stop: AutoStop = AutoStop.OFF
    auto_start: bool = True
    min_machines_running: int = 0
    processes: tuple[str, ...] = ()
    where: str = field(default="", compare=False)


def services(root: Table) -> Iterator[Service]:
    """Read every service of the file, `[http_service]` first."""
    http_service = root.table("http_service")
    if http_service is not None:
        yield _http_service(http_service)
    for table in root.tables("services"):
        if table.values:
            yield _raw_service(table)


def _http_service(table: Table) -> Service:
    where = table.where
    http = Port(80, 80, ("http",), force_https=table.boolean("force_https", default=False), where=where)
    https = Port(443, 443, ("tls", "http"), where=where)
    concurrency = _concurrency(table.table("concurrency"))
    return _service(table, table.integer("internal_port"), "tcp", (http, https), concurrency)


def _raw_service(table: Table) -> Service:
    limits = table.values.get("concurrency")
    concurrency = (
        _old_concurrency(table, limits) if isinstance(limits, str) else _concurrency(table.table("concurrency"))
    )
    ports = tuple(_port(entry) for entry in table.tables("ports"))
    return _service(table, table.lenient_integer("internal_port"), table.text("protocol") or "tcp", ports, concurrency)


def _service(
    table: Table, internal_port: int, protocol: str, ports: tuple[Port, ...], concurrency: Concurrency
) -> Service:
    return Service(
        internal_port,
        protocol,
        ports,
        concurrency,
        auto_stop=_auto_stop(table),
        auto_start=table.boolean("auto_start_machines", default=True),
        min_machines_running=table.integer("min_machines_running"),
        processes=table.texts("processes"),
        where=table.where,
    )


def _port(table: Table) -> Port:
    port = table.lenient_integer("port")
    start = port or table.integer("start_port")
    proxy_proto = table.table("proxy_proto_options")
    return Port(
        start_port=start,
        end_port=port or table.integer("end_port") or start,
        handlers=table.texts("handlers"),
        force_https=table.boolean("force_https", default=False),
        proxy_proto_version=(proxy_proto.text("version") if proxy_proto else "") or "v1",
        where=table.where,
    )


def _concurrency(table: Table | None) -> Concurrency:
    if table is None:
        return Concurrency()
    soft, hard = table.integer("soft_limit"), table.integer("hard_limit")
    return Concurrency(table.text("type") or "connections", soft or _DEFAULT_SOFT_LIMIT, hard or None)


def _old_concurrency(table: Table, text: str) -> Concurrency:
    soft_and_hard = re.fullmatch(r"([+-]?\d{1,9}),([+-]?\d{1,9})", text, re.ASCII)
    if soft_and_hard is None:
        raise wrong(table.path("concurrency"), 'a table, or "soft,hard"', text)
    return Concurrency("requests", int(soft_and_hard[1]) or _DEFAULT_SOFT_LIMIT, int(soft_and_hard[2]) or None)


def _auto_stop(table: Table) -> AutoStop:
    key = "auto_stop_machines"
    try:
        return auto_stop(table.values.get(key, False))
    except ValueError as error:
        problem = f'{printable(str(error))[:200]}; expected true, false, "off", "stop" or "suspend"'
        raise ShapeError(table.path(key), problem) from None
