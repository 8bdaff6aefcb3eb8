"""What a fly.toml says about keeping Machines well: restart policies and health checks.

Rules (Fly's page "App configuration"; FLYTOML_RULES §2.4 and §2.5)

- `[[restart]]`: `policy` is on-failure, always or never; `retries` counts for on-failure; without `processes` it is
  for every group that no other one names.
- `[[http_service.checks]]`, `[[services.http_checks]]` and `[[services.tcp_checks]]` are about the service's internal
  port, and a failing one keeps requests away; `[checks.NAME]` has a port and a type of its own, and only tells.
- A bare number is in nanoseconds under `http_service`, in milliseconds elsewhere.  Default: every 15 s, 2 s to
  answer, 1 s of grace.  Times of service checks are raised to 1 s and lowered to 60 s.
- The lab checks over http and tcp, not over https.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.restart import DEFAULT, RestartKind, RestartPolicy
from shell.tomltable import ShapeError, Table, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lab.topology import Topology

INTERVAL_SECONDS = 15.0
TIMEOUT_SECONDS = 2.0
GRACE_SECONDS = 1.0
_LEAST_SECONDS, _MOST_SECONDS = 1.0, 60.0
_LAST_PORT = 65535
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|ms|s|m|h)", re.ASCII)
_DURATION = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_METHOD = re.compile(r"[A-Za-z]{1,20}", re.ASCII)
_VISIBLE = re.compile(r"[!-~]+")
_HEADER = re.compile(r"[^\0\r\n]*")


class CheckKind(StrEnum):
    """How a check looks at a Machine."""

    TCP = "tcp"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Check:
    """One health check; `name` is empty, and `service_ports` are what clients dial, when it is a service's."""

    kind: CheckKind
    port: int
    name: str = ""
    service_ports: tuple[int, ...] = ()
    interval_seconds: float = INTERVAL_SECONDS
    timeout_seconds: float = TIMEOUT_SECONDS
    grace_seconds: float = GRACE_SECONDS
    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    processes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Upkeep:
    """The restart policies by process group ("" for the rest) and the checks of one app."""

    restarts: tuple[tuple[str, RestartPolicy], ...] = ()
    checks: tuple[Check, ...] = ()

    def restart_of(self, group: str) -> RestartPolicy:
        """Return the policy of a process group."""
        policies = dict(self.restarts)
        return policies.get(group, policies.get("", DEFAULT))

    def checks_of(self, group: str) -> tuple[Check, ...]:
        """Return the checks of a process group's Machines."""
        return tuple(check for check in self.checks if not check.processes or group in check.processes)


def with_upkeep(topology: Topology, said: Sequence[Upkeep]) -> Topology:
    """Return the plan with what was said of each app, in their order."""
    apps = tuple(
        replace(
            app,
            machines=tuple(
                replace(plan, restart=one.restart_of(plan.process_group), checks=one.checks_of(plan.process_group))
                for plan in app.machines
            ),
        )
        for app, one in zip(topology.apps, said, strict=True)
    )
    return replace(topology, apps=apps)


def read_upkeep(path: Path) -> Upkeep:
    """Read what a fly.toml, known to be TOML, says of upkeep; raise `UsageError` naming file and place."""
    try:
        root = Table.of("", tomllib.loads(path.read_text("utf-8")))
        return Upkeep(tuple(_restarts(root)), (*_service_checks(root), *_own_checks(root)))
    except ShapeError as error:
        raise UsageError(f"{path}: {error}") from None


def _restarts(root: Table) -> Iterator[tuple[str, RestartPolicy]]:
    for table in root.tables("restart"):
        kind, retries = table.text("policy"), table.integer("retries")
        if kind not in list(RestartKind):
            raise wrong(table.path("policy"), "on-failure, always or never", kind)
        if retries < 0:
            raise wrong(table.path("retries"), "a number of at least 0", retries)
        policy = RestartPolicy(RestartKind(kind), retries if "retries" in table.values else DEFAULT.retries)
        for group in table.texts("processes") or ("",):
            yield group, policy


def _service_checks(root: Table) -> Iterator[Check]:
    about: tuple[int, tuple[int, ...], tuple[str, ...]]
    http_service = root.table("http_service")
    if http_service is not None:
        about = (http_service.integer("internal_port"), (80, 443), http_service.texts("processes"))
        for table in http_service.tables("checks"):
            yield _of_service(table, CheckKind.HTTP, about, bare_seconds=1e-9)
    for service in root.tables("services"):
        ports = tuple(entry.lenient_integer("port") or entry.lenient_integer("start_port")
                      for entry in service.tables("ports"))  # fmt: skip
        about = (service.lenient_integer("internal_port"), ports, service.texts("processes"))
        for key, kind in (("tcp_checks", CheckKind.TCP), ("http_checks", CheckKind.HTTP)):
            for table in service.tables(key):
                yield _of_service(table, kind, about, bare_seconds=1e-3)


def _of_service(
    table: Table, kind: CheckKind, about: tuple[int, tuple[int, ...], tuple[str, ...]], *, bare_seconds: float
) -> Check:
    def seconds(key: str, default: float) -> float:
        value = _duration(table, key, default, bare_seconds)
        return value and min(max(value, _LEAST_SECONDS), _MOST_SECONDS)

    port, service_ports, processes = about
    return Check(
        kind, port, "", service_ports, seconds("interval", INTERVAL_SECONDS) or _LEAST_SECONDS,
        seconds("timeout", TIMEOUT_SECONDS) or _LEAST_SECONDS, seconds("grace_period", GRACE_SECONDS),
        *_request(table), processes,
    )  # fmt: skip


def _own_checks(root: Table) -> Iterator[Check]:
    checks = root.table("checks")
    for name in checks.values if checks is not None else ():
        table = checks and checks.table(name)
        if table is None:
            continue
        kind, port = table.text("type"), table.lenient_integer("port")
        if kind not in list(CheckKind):
            raise wrong(table.path("type"), "http or tcp", kind)
        port = port or _port_of_http_service(root)
        if not 1 <= port <= _LAST_PORT:
            raise wrong(table.path("port"), "the port to check, 1 to 65535", port)
        interval = _duration(table, "interval", INTERVAL_SECONDS, 1e-3)
        timeout = _duration(table, "timeout", TIMEOUT_SECONDS, 1e-3)
        if interval < 2:  # noqa: PLR2004 - flyctl's rule
            raise wrong(table.path("interval"), "at least 2s", f"{interval:g}s")
        if not 0 < timeout <= _MOST_SECONDS:
            raise wrong(table.path("timeout"), "at most 60s", f"{timeout:g}s")
        grace = _duration(table, "grace_period", GRACE_SECONDS, 1e-3)
        processes = table.texts("processes")
        yield Check(CheckKind(kind), port, name, (), interval, timeout, grace, *_request(table), processes)


def _port_of_http_service(root: Table) -> int:
    http_service = root.table("http_service")
    return http_service.integer("internal_port") if http_service else 0


def _request(table: Table) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """Return method, path and headers of an http check."""
    protocol, method, path = table.text("protocol") or "http", table.text("method") or "GET", table.text("path") or "/"
    if protocol.lower() != "http":
        raise wrong(table.path("protocol"), "http, which is all the lab checks over", protocol)
    if not _METHOD.fullmatch(method):
        raise wrong(table.path("method"), "a method such as get", method)
    if not _VISIBLE.fullmatch(path):
        raise wrong(table.path("path"), "a path such as /healthz", path)
    headers = table.table("headers")
    pairs = tuple((headers.values if headers else {}).items())
    for name, value in pairs:
        if not _VISIBLE.fullmatch(name) or not isinstance(value, str) or not _HEADER.fullmatch(value):
            raise wrong(table.path(f"headers.{name[:60]}"), "a header's value as a string", value)
    return method.upper(), path if path.startswith("/") else f"/{path}", pairs


def _duration(table: Table, key: str, default: float, bare_seconds: float) -> float:
    value = table.values.get(key)
    if value is None or value == "":
        return default
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return value * bare_seconds
    if isinstance(value, str) and _DURATION.fullmatch(value):
        return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(value))
    raise wrong(table.path(key), 'a duration such as "10s"', value)
