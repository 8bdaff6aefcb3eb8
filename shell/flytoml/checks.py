"""Health checks as values: of `[http_service]`, of `[[services]]`, and `[checks.NAME]`.

Rules (docs/fly.md, "fly.toml")
- `[[http_service.checks]]`, `[[services.http_checks]]` and `[[services.tcp_checks]]` are about the service's internal
  port; `[checks.NAME]`, or an entry of `[[checks]]` with a `name`, has a port and a type of its own.
- A bare number is in nanoseconds under `http_service`, in milliseconds elsewhere; there, what is neither number nor
  text, and "", count as not given.
- Headers are a table of strings; elsewhere than under `http_service` other values become text, and a list of tables
  with `name` and `value` does too.
- What the file does not say is None or "": who makes the check knows the default.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shell.flytoml.durations import MILLISECOND, NANOSECOND, SECOND, parse
from shell.flytoml.gotext import go_text
from shell.flytoml.table import Table, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One health check; `name` is "", and `service_ports` are what clients dial, when it is a service's."""

    kind: str
    port: int
    name: str = ""
    service_ports: tuple[int, ...] = ()
    interval_seconds: float | None = None
    timeout_seconds: float | None = None
    grace_seconds: float | None = None
    protocol: str = ""
    method: str = ""
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    processes: tuple[str, ...] = ()
    where: str = field(default="", compare=False)


def checks(root: Table) -> Iterator[HealthCheck]:
    """Read every check of the file: those of `[http_service]`, of each service, then those with a name."""
    http_service = root.table("http_service")
    about: tuple[int, tuple[int, ...], tuple[str, ...]]
    http_port = http_service.integer("internal_port") if http_service else 0
    if http_service is not None:
        about = (http_port, (80, 443), http_service.texts("processes"))
        for table in http_service.strict_tables("checks"):
            yield _of_service(table, "http", about, NANOSECOND)
    for service in root.tables("services"):
        ports = tuple(entry.lenient_integer("port") or entry.integer("start_port") for entry in service.tables("ports"))
        about = (service.lenient_integer("internal_port"), ports, service.texts("processes"))
        for kind in ("tcp", "http"):
            for table in service.tables(f"{kind}_checks"):
                yield _of_service(table, kind, about, MILLISECOND)
    for name, table in _named(root):
        yield _check(
            table, table.text("type"), table.integer("port") or http_port, MILLISECOND,
            name=name, processes=table.texts("processes"),
        )  # fmt: skip


def _named(root: Table) -> Iterator[tuple[str, Table]]:
    value = root.values.get("checks", {})
    if isinstance(value, list):
        for table in root.tables("checks"):
            if not isinstance(table.values.get("name"), str):
                raise wrong(table.path("name"), "the name of the check as a string", table.values.get("name"))
            yield table.text("name"), table
    elif isinstance(value, dict):
        for name in value:
            table_or_none = Table("checks", value).table(name)
            if table_or_none is not None:
                yield name, table_or_none
    else:
        raise wrong("checks", "a table", value)


def _of_service(table: Table, kind: str, about: tuple[int, tuple[int, ...], tuple[str, ...]], bare: int) -> HealthCheck:
    port, service_ports, processes = about
    return _check(table, kind, port, bare, service_ports=service_ports, processes=processes)


def _check(
    table: Table, kind: str, port: int, bare: int, *,
    name: str = "", service_ports: tuple[int, ...] = (), processes: tuple[str, ...] = (),
) -> HealthCheck:  # fmt: skip
    return HealthCheck(
        kind,
        port,
        name,
        service_ports,
        interval_seconds=_seconds(table, "interval", bare),
        timeout_seconds=_seconds(table, "timeout", bare),
        grace_seconds=_seconds(table, "grace_period", bare),
        protocol=table.text("protocol"),
        method=table.text("method"),
        path=table.text("path"),
        headers=tuple(_headers(table, as_text=bare == MILLISECOND)),
        processes=processes,
        where=table.where,
    )


def _seconds(table: Table, key: str, bare: int) -> float | None:
    value = table.values.get(key)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (bare == MILLISECOND and (value == "" or not (number or isinstance(value, str)))):
        return None
    with suppress(ValueError, OverflowError):  # of a text that is no duration, of nan, of inf
        if isinstance(value, str):
            return parse(value) / SECOND
        if number:
            return int(value) * bare / SECOND
    raise wrong(table.path(key), 'a duration such as "10s"', value)


def _headers(table: Table, *, as_text: bool) -> Iterator[tuple[str, str]]:
    value = table.values.get("headers", {})
    if as_text and isinstance(value, list):
        for entry in table.tables("headers"):
            yield go_text(entry.values.get("name", "")), go_text(entry.values.get("value", ""))
        return
    if not isinstance(value, dict):
        raise wrong(table.path("headers"), "a table of strings", value)
    for name, text in value.items():
        if not as_text and not isinstance(text, str):
            raise wrong(table.path(f"headers.{name[:60]}"), "a header's value as a string", text)
        yield name, go_text(text)
