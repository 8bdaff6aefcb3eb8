"""What the lab does about keeping Machines well: restart policies and health checks, from what fly.toml says.  Pure.

Rules (docs/fly.md, "Proxy", "Sleep and wake" and "fly.toml")

- `[[restart]]`: `policy` is on-failure, always or never; `retries` counts for on-failure; without `processes` it is
  for every group that no other one names.
- `[[http_service.checks]]`, `[[services.http_checks]]` and `[[services.tcp_checks]]` are about the service's internal
  port, and a failing one keeps requests away; `[checks.NAME]` has a port and a type of its own, and only tells.
- Default: every 15 s, 2 s to answer, 1 s of grace.  Times of service checks are raised to 1 s and lowered to 60 s;
  `[checks.NAME]` wants 2 s between checks at least and 60 s to answer at most.
- The lab checks over http and tcp, not over https.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.restart import DEFAULT, RestartKind, RestartPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.flytoml import FlyToml, HealthCheck

INTERVAL_SECONDS = 15.0
TIMEOUT_SECONDS = 2.0
GRACE_SECONDS = 1.0
_LEAST_SECONDS, _MOST_SECONDS = 1.0, 60.0
_LEAST_INTERVAL_SECONDS = 2.0  # of a check with a name
_LAST_PORT = 65535
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


def upkeep(config: FlyToml) -> Upkeep:
    """Return what a fly.toml says of upkeep; raise `UsageError` naming file, line and place."""
    return Upkeep(tuple(_restarts(config)), tuple(_check(config, check) for check in config.checks))


def _wrong(config: FlyToml, where: str, expected: str, got: object) -> UsageError:
    shown = f"the string {got[:60]!r}" if isinstance(got, str) else f"{got!s:.60}"
    return UsageError(f"{config.place(where)}: expected {expected}, got {shown}")


def _restarts(config: FlyToml) -> Iterator[tuple[str, RestartPolicy]]:
    for said in config.restarts:
        if said.policy not in list(RestartKind):
            raise _wrong(config, f"{said.where}.policy", "on-failure, always or never", said.policy)
        if said.retries is not None and said.retries < 0:
            raise _wrong(config, f"{said.where}.retries", "a number of at least 0", said.retries)
        retries = DEFAULT.retries if said.retries is None else said.retries
        for group in said.processes or ("",):
            yield group, RestartPolicy(RestartKind(said.policy), retries)


def _check(config: FlyToml, said: HealthCheck) -> Check:
    interval = INTERVAL_SECONDS if said.interval_seconds is None else said.interval_seconds
    timeout = TIMEOUT_SECONDS if said.timeout_seconds is None else said.timeout_seconds
    grace = GRACE_SECONDS if said.grace_seconds is None else said.grace_seconds
    if said.name:
        _check_times(config, said, interval, timeout, grace)
    else:
        interval, timeout = _within(interval), _within(timeout)
        grace = grace and _within(grace)
    _check_request(config, said)
    path = said.path if said.path.startswith("/") else f"/{said.path}"
    return Check(
        CheckKind(said.kind), said.port, said.name, said.service_ports, interval, timeout, grace,
        said.method.upper() or "GET", path, said.headers, said.processes,
    )  # fmt: skip


def _within(seconds: float) -> float:
    return min(max(seconds, _LEAST_SECONDS), _MOST_SECONDS)


def _check_times(config: FlyToml, said: HealthCheck, interval: float, timeout: float, grace: float) -> None:
    """Raise `UsageError` for a check with a name that cannot be made as it says."""
    if said.kind not in list(CheckKind):
        raise _wrong(config, f"{said.where}.type", "http or tcp", said.kind)
    if not 1 <= said.port <= _LAST_PORT:
        raise _wrong(config, f"{said.where}.port", "the port to check, 1 to 65535", said.port)
    if interval < _LEAST_INTERVAL_SECONDS:
        raise _wrong(config, f"{said.where}.interval", "at least 2s", f"{interval:g}s")
    if not 0 < timeout <= _MOST_SECONDS:
        raise _wrong(config, f"{said.where}.timeout", "at most 60s", f"{timeout:g}s")
    if grace < 0:
        raise _wrong(config, f"{said.where}.grace_period", "at least 0s", f"{grace:g}s")


def _check_request(config: FlyToml, said: HealthCheck) -> None:
    """Raise `UsageError` for a request that the lab cannot write."""
    if said.protocol.lower() not in ("", "http"):
        raise _wrong(config, f"{said.where}.protocol", "http, which is all the lab checks over", said.protocol)
    if said.method and not _METHOD.fullmatch(said.method):
        raise _wrong(config, f"{said.where}.method", "a method such as get", said.method)
    if said.path and not _VISIBLE.fullmatch(said.path):
        raise _wrong(config, f"{said.where}.path", "a path such as /healthz", said.path)
    for name, value in said.headers:
        if not _VISIBLE.fullmatch(name) or not _HEADER.fullmatch(value):
            raise _wrong(config, f"{said.where}.headers.{name[:60]}", "a header's value on one line", value)
