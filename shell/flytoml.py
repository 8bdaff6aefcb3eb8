"""The one reader of fly.toml: a file becomes a frozen `FlyToml`, or one clear error.

Rules (FLYTOML_RULES §2), as flyctl reads the file
- Keys match whatever their case, unknown keys are ignored; names of variables and processes keep theirs.
- What flyctl calls valid is read, also when nothing could run from it: no `app` is app_name "", no
  internal or client port is 0. Who uses the value complains.
- `[http_service]` is a Service with the ports 80 (http) and 443 (tls, http); force_https belongs to port 80.
- String ports and "soft,hard" concurrency are tolerated under `[[services]]` only.
- `proxy_proto_options` holds the version of the PROXY preface, `v1` when it says nothing (FLY_FACTS §3).
- A limit of 0 is no limit given: 20 for soft_limit, none for hard_limit.
- A `kill_timeout` in text is a Go duration (`90s`, `1m30s`), a bare one is in whole seconds, a boolean one is
  ignored; the default is 5 s (FLY_FACTS §5).
- Memory: `memory`, else `memory_mb`, else what the preset `size` has (Fly docs, "Machine sizing"), else
  256 MiB. A size nobody can read counts as not given: only a deploy would reject it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from shell.errors import ProbeError
from shell.tomltable import ShapeError, Table, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MAX_FILE_BYTES = 1 << 20
_DEFAULT_KILL_TIMEOUT_SECONDS = 5.0
_MAX_SECONDS = 9e9  # Go has hardly longer ones
_DEFAULT_MEMORY_MB = 256
_DEFAULT_SOFT_LIMIT = 20
_PRESET_MB = {"shared-cpu": 256, "performance": 2048}  # for each CPU
_GO_DURATION = re.compile(r"[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)  # both letters mu
_GO_PART = re.compile(r"([\d.]+)(\D+)", re.ASCII)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MEMORY = re.compile(r"(\d{1,9}(?:\.\d+)?)\s*(kb|mb|gb|tb|kib|mib|gib|tib|k|m|g|t|)", re.ASCII | re.IGNORECASE)
_MIB_PER_UNIT = {"": 1.0, "k": 1 / 1024, "m": 1.0, "g": 1024.0, "t": 1024.0 * 1024}


class AutoStop(StrEnum):
    """What `auto_stop_machines` asks for; `true` reads as `STOP`, `false` and absence as `OFF`."""

    OFF = "off"
    STOP = "stop"
    SUSPEND = "suspend"


class FlyTomlError(ProbeError):
    """The file cannot be used; the message names the file, the place, what was expected and what came."""


@dataclass(frozen=True, slots=True)
class Port:
    """One port, or an inclusive range of ports, that clients dial."""

    start_port: int
    end_port: int
    handlers: tuple[str, ...] = ()
    force_https: bool = False
    proxy_proto_version: str = "v1"


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How load is counted (`requests` or `connections`) and the two limits on it."""

    type: str = "connections"
    soft_limit: int = _DEFAULT_SOFT_LIMIT
    hard_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """An `[http_service]` (ports 80 and 443) or one `[[services]]` entry."""

    internal_port: int
    protocol: str = "tcp"
    ports: tuple[Port, ...] = ()
    concurrency: Concurrency = field(default_factory=Concurrency)
    auto_stop: AutoStop = AutoStop.OFF
    auto_start: bool = True
    min_machines_running: int = 0
    processes: tuple[str, ...] = ()


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


def read(path: Path) -> FlyToml:
    """Read one fly.toml; raise `FlyTomlError` when it is missing, not TOML, or has a wrong type."""
    document = _document(path)
    try:
        return _fly_toml(path, Table.of("", document))
    except ShapeError as error:
        raise FlyTomlError(f"{path}: {error}") from error


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise FlyTomlError(f"{path}: expected a fly.toml, got: {error.strerror}") from error
    if len(content) > _MAX_FILE_BYTES:
        raise FlyTomlError(f"{path}: expected a fly.toml of at most {_MAX_FILE_BYTES} bytes, got a larger file")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line, column = _place(content[: error.start].decode())
        raise FlyTomlError(f"{path}: not TOML: bytes that are not UTF-8 (at line {line}, column {column})") from error
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise FlyTomlError(f"{path}: not TOML that can be read: tables nested too deeply") from error
    except ValueError as error:
        line, column = _place(text)
        reason = str(error).replace("at end of document", f"at line {line}, column {column}, the end of the file")
        raise FlyTomlError(f"{path}: not TOML: {reason}") from error


def _place(before: str) -> tuple[int, int]:
    """Return the line and column, from 1, of what follows the text `before`."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _fly_toml(path: Path, root: Table) -> FlyToml:
    http_service = root.table("http_service")
    return FlyToml(
        path=path,
        app_name=root.text("app"),
        primary_region=root.text("primary_region"),
        kill_signal=root.text("kill_signal") or "SIGINT",
        kill_timeout_seconds=_kill_timeout_seconds(root),
        env=MappingProxyType(_env(root)),
        processes=MappingProxyType(_processes(root)),
        services=(
            *([_http_service(http_service)] if http_service else []),
            *(_raw_service(table) for table in root.tables("services")),
        ),
        dockerfile=_dockerfile(path, root.table("build")),
        memory_mb=_memory_mb(root),
    )


def _kill_timeout_seconds(root: Table) -> float:
    experimental = root.table("experimental")
    holder = root if "kill_timeout" in root.values or experimental is None else experimental
    value = holder.values.get("kill_timeout")
    if value is None or isinstance(value, bool):
        return _DEFAULT_KILL_TIMEOUT_SECONDS
    if isinstance(value, str) and _GO_DURATION.fullmatch(value):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _GO_PART.findall(value))
        if seconds <= _MAX_SECONDS:
            return -seconds if value.startswith("-") else seconds
    if isinstance(value, int | float) and abs(value) <= _MAX_SECONDS:
        return float(int(value))
    raise wrong(holder.path("kill_timeout"), 'a duration such as "10s"', value)


def _env(root: Table) -> dict[str, str]:
    value = root.values.get("env", {})
    tables = [value] if isinstance(value, dict) else value
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise wrong("env", "a table", value)
    return {name: _go_text(item) for table in tables for name, item in table.items()}


def _go_text(value: object) -> str:
    """Write a value as Go's `%v` does."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, list):
        return "[" + " ".join(_go_text(item) for item in value) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_go_text(value[key])}" for key in sorted(value)) + "]"
    return str(value)


def _processes(root: Table) -> dict[str, str]:
    value = root.values.get("processes", {})
    if isinstance(value, list):
        return {table.text("name"): table.text("command") for table in root.tables("processes")}
    if not isinstance(value, dict):
        raise wrong("processes", "a table", value)
    for name, command in value.items():
        if not isinstance(command, str):
            raise wrong(f"processes.{name}", "a command as a string", command)
    return dict(value)


def _http_service(table: Table) -> Service:
    http = Port(80, 80, ("http",), force_https=table.boolean("force_https", default=False))
    concurrency = _concurrency(table.table("concurrency"))
    return _service(table, table.integer("internal_port"), "tcp", (http, Port(443, 443, ("tls", "http"))), concurrency)


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
    )


def _port(table: Table) -> Port:
    port = table.lenient_integer("port")
    start = port or table.lenient_integer("start_port")
    proxy_proto = table.table("proxy_proto_options")
    return Port(
        start_port=start,
        end_port=port or table.lenient_integer("end_port") or start,
        handlers=table.texts("handlers"),
        force_https=table.boolean("force_https", default=False),
        proxy_proto_version=(proxy_proto.text("version") if proxy_proto else "") or "v1",
    )


def _concurrency(table: Table | None) -> Concurrency:
    if table is None:
        return Concurrency()
    soft, hard = table.integer("soft_limit"), table.integer("hard_limit")
    return Concurrency(table.text("type") or "connections", soft or _DEFAULT_SOFT_LIMIT, hard or None)


def _old_concurrency(table: Table, text: str) -> Concurrency:
    soft_and_hard = re.fullmatch(r"\s*([+-]?\d{1,9})\s*,\s*([+-]?\d{1,9})\s*", text, re.ASCII)
    if soft_and_hard is None:
        raise wrong(table.path("concurrency"), 'a table, or "soft,hard"', text)
    return Concurrency("connections", int(soft_and_hard[1]) or _DEFAULT_SOFT_LIMIT, int(soft_and_hard[2]) or None)


def _auto_stop(table: Table) -> AutoStop:
    key = "auto_stop_machines"
    value = table.values.get(key, False)
    if isinstance(value, bool):
        return AutoStop.STOP if value else AutoStop.OFF
    if value not in list(AutoStop):
        flyctl_says = "autostop value is not a valid bool or string"
        if isinstance(value, str):
            flyctl_says = f'invalid autostop string value "{value}"'
        raise ShapeError(f'{table.path(key)}: {flyctl_says}; expected true, false, "off", "stop" or "suspend"')
    return AutoStop(value)


def _dockerfile(path: Path, build: Table | None) -> Path | None:
    named = build.text("dockerfile") if build else ""
    if named:
        return path.parent / named
    beside = path.parent / "Dockerfile"
    return beside if beside.is_file() else None


def _memory_mb(root: Table) -> int:
    table = next((table for key in ("vm", "compute", "computes") for table in root.tables(key)), Table("vm", {}))
    memory = table.values.get("memory", "")
    if isinstance(memory, bool) or not isinstance(memory, str | int | float):
        raise wrong(table.path("memory"), 'a size such as "256mb"', memory)
    size = _MEMORY.fullmatch(str(memory).strip())
    if size and (mib := int(float(size[1]) * _MIB_PER_UNIT[size[2][:1].lower()])):
        return mib
    preset = re.fullmatch(r"(shared-cpu|performance)-(\d{1,3})x", table.text("size"), re.ASCII)
    of_preset = _PRESET_MB[preset[1]] * int(preset[2]) if preset else 0
    return table.integer("memory_mb") or of_preset or _DEFAULT_MEMORY_MB
