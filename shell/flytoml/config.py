"""A fly.toml as one frozen value, `FlyToml`, or one clear error.

Rules (docs/fly.md, "fly.toml")
- Keys match whatever their case, unknown keys are ignored; names of variables and processes keep theirs.
- What flyctl calls valid is read, also when nothing could run from it: no `app` is app_name "".
- A `kill_timeout` in text is a Go duration (`90s`, `1m30s`), a bare one is in whole seconds; "" and what is neither
  text nor number are ignored; the default is 5 s (docs/fly.md, "Sleep and wake").
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, time
from types import MappingProxyType
from typing import TYPE_CHECKING

from shell.flytoml.checks import HealthCheck, checks
from shell.flytoml.document import FlyTomlError, document, place
from shell.flytoml.durations import SECOND, DurationError, parse
from shell.flytoml.gotext import go_text
from shell.flytoml.lines import Lines
from shell.flytoml.patches import PatchError, variables
from shell.flytoml.restarts import Restart, restarts
from shell.flytoml.services import Service, services
from shell.flytoml.sizes import memory_mb
from shell.flytoml.table import ShapeError, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from shell.flytoml.document import Document
    from shell.flytoml.table import Table

_DEFAULT_KILL_TIMEOUT_SECONDS = 5.0
_MAX_SECONDS = 9e9  # Go has hardly longer ones


@dataclass(frozen=True, slots=True)
class FlyToml:
    """What this project uses of a fly.toml; durations in seconds, memory in MiB."""

    path: Path
    app_name: str
    primary_region: str
    kill_signal: str
    kill_timeout_seconds: float
    env: Mapping[str, str]
    processes: Mapping[str, str]
    services: tuple[Service, ...]
    dockerfile: Path | None
    memory_mb: int
    restarts: tuple[Restart, ...] = ()
    checks: tuple[HealthCheck, ...] = ()
    lines: Lines = field(default_factory=lambda: Lines({}), compare=False, repr=False)

    def place(self, where: str) -> str:
        """Return `file:line: key path`, the head of every complaint about the key path `where`."""
        return place(self.path, self.lines, where)


def read(path: Path) -> FlyToml:
    """Read one fly.toml; raise `FlyTomlError` when it is missing, not TOML, or has a wrong type."""
    return from_document(document(path))


def from_document(found: Document) -> FlyToml:
    """Read the values of a document; raise `FlyTomlError` with the line of the first wrong type."""
    try:
        return _fly_toml(found)
    except ShapeError as error:
        raise FlyTomlError(f"{found.path}:{found.lines.line_of(error.where)}: {error}") from error


def _fly_toml(found: Document) -> FlyToml:
    root = found.root
    return FlyToml(
        path=found.path,
        app_name=root.text("app"),
        primary_region=root.text("primary_region"),
        kill_signal=root.text("kill_signal") or "SIGINT",
        kill_timeout_seconds=_kill_timeout_seconds(root),
        env=MappingProxyType(_env(root)),
        processes=MappingProxyType(_processes(root)),
        services=tuple(services(root)),
        dockerfile=_dockerfile(found.path, root.table("build")),
        memory_mb=memory_mb(root),
        restarts=tuple(restarts(root)),
        checks=tuple(checks(root)),
        lines=found.lines,
    )


def _kill_timeout_seconds(root: Table) -> float:
    experimental = root.table("experimental")
    holder = root if "kill_timeout" in root.values or experimental is None else experimental
    value = holder.values.get("kill_timeout", "")
    if isinstance(value, bool) or value == "" or not isinstance(value, str | int | float):
        return _DEFAULT_KILL_TIMEOUT_SECONDS
    if isinstance(value, str):
        with suppress(DurationError):
            return parse(value) / SECOND
    elif abs(value) <= _MAX_SECONDS:
        return float(int(value))
    raise wrong(holder.path("kill_timeout"), 'a duration such as "10s"', value)


def _env(root: Table) -> dict[str, str]:
    value = root.values.get("env", {})
    try:
        return {name: go_text(item) for name, item in variables(value)}
    except PatchError:
        raise wrong("env", "a table", value) from None


def _processes(root: Table) -> dict[str, str]:
    value = root.values.get("processes", {})
    if isinstance(value, list):  # as it was in old files
        named = [table for table in value if isinstance(table, dict) and "name" in table]
        return {go_text(table["name"]): go_text(table.get("command", "")) for table in named}
    if not isinstance(value, dict):
        raise wrong("processes", "a table", value)
    for name, command in value.items():
        if not isinstance(command, str | date | time):
            raise wrong(f"processes.{name}", "a command as a string", command)
    return {name: str(command) for name, command in value.items()}


def _dockerfile(path: Path, build: Table | None) -> Path | None:
    named = build.text("dockerfile") if build else ""
    if named:
        return path.parent / named
    beside = path.parent / "Dockerfile"
    return beside if beside.is_file() else None
