"""The one reader of fly.toml: a file becomes a frozen `FlyToml`, or one clear error.

Read as flyctl reads it (FLYTOML_RULES): keys match whatever their case, unknown keys are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class AutoStop(StrEnum):
    """What `auto_stop_machines` asks for; `true` reads as `STOP`, `false` and absence as `OFF`."""

    OFF = "off"
    STOP = "stop"
    SUSPEND = "suspend"


class FlyTomlError(Exception):
    """The file cannot be used; the message names the file, the place, what was expected and what came."""


@dataclass(frozen=True, slots=True)
class Port:
    """One port, or an inclusive range of ports, that clients dial."""

    start_port: int
    end_port: int
    handlers: tuple[str, ...] = ()
    force_https: bool = False


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How load is counted (`requests` or `connections`) and the two limits on it."""

    type: str = "connections"
    soft_limit: int = 20
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
    raise FlyTomlError(f"{path}: the reader is not written yet")
