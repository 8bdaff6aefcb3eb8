"""What flyctl says of a fly.toml whose types are right.  Pure.

Rules (flyctl's internal/appconfig/validation.go, in its order and with its texts; docs/fly.md, "fly.toml")
- Every rule is tried and every message told; a warning leaves the file valid.
- Names of processes and checks go in sorted order.
- `[http_service]` is the first service and has ports always.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shell.flytoml.commands import why_not_split
from shell.flytoml.durations import SECOND, written
from shell.flytoml.gotext import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_MINUTE = 60 * SECOND
_STRATEGIES = ("canary", "rolling", "immediate", "bluegreen")
_POLICIES = ("always", "on-failure", "never")
_COMPRESSIONS = ("", "gzip", "zstd")
_MOST_COMPRESSION = 9
_LEAST_INTERVAL = 2 * SECOND
_RETENTION_DAYS = range(1, 61)
_EXTEND_AT_PERCENT = range(50, 100)
_EXTEND_BY_GB = range(1, 101)
_EXTEND_TO_GB = range(1, 501)
_NO_PORTS = (
    "WARNING: Service must expose at least one port. Add a [[services.ports]] section to fly.toml; Check docs at "
    "https://fly.io/docs/reference/configuration/#services-ports \n "
    "Validation for _services without ports_ will hard fail after February 15, 2024."
)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of flyctl's and the key path it is about; a warning alone does no harm."""

    text: str
    where: str
    warning: bool = False


def messages(config: Mapping[str, Any]) -> Iterator[Message]:
    """Say what flyctl says of `config`, as `decoded` returns it."""
    yield from _build_strategies(config.get("build") or {})
    yield from _deploy(config)
    for name, check in (config.get("checks") or {}).items():
        yield from _named_check(name, check or {})
    processes = config.get("processes") or {}
    yield from _services(config, processes)
    for name, command in processes.items():
        if reason := why_not_split(command):
            text = f"Could not parse command for '{name}' process group; check [processes] section: {reason}"
            yield Message(text, f"processes.{name}")
    console = config.get("console_command") or ""
    if why_not_split(console):
        yield Message(f"Can't shell split console command: '{console}'", "console_command")
    for number, mount in enumerate(config.get("mounts") or []):
        yield from _mount(mount, f"mounts[{number}]")
    for number, restart in enumerate(config.get("restart") or []):
        yield from _restart(restart, processes or ["app"], f"restart[{number}]")
    yield from _compression(config.get("build") or {})


def _build_strategies(build: Mapping[str, Any]) -> Iterator[Message]:
    found = []
    if build.get("image"):
        found.append(f'the "{build["image"]}" docker image')
    if build.get("builder") or build.get("buildpacks"):
        found.append("a buildpack")
    if build.get("dockerfile"):
        found.append(f'the "{build["dockerfile"]}" dockerfile')
    elif build.get("build-target"):
        found.append("a dockerfile")
    if build.get("builtin"):
        found.append(f'the "{build["builtin"]}" builtin image')
    if len(found) > 1:
        text = f"WARN more than one build configuration found: [{', '.join(found)}]"
        yield Message(text, "build", warning=True)


def _deploy(config: Mapping[str, Any]) -> Iterator[Message]:
    deploy = config.get("deploy") or {}
    command, strategy = deploy.get("release_command") or "", deploy.get("strategy") or ""
    if why_not_split(command):
        yield Message(f"Can't shell split release command: '{command}'", "deploy.release_command")
    if strategy and strategy not in _STRATEGIES:
        text = f"unsupported deployment strategy '{strategy}'; Apps v2 supports the following strategies: "
        yield Message(text + ", ".join(_STRATEGIES), "deploy.strategy")
    if strategy == "canary" and config.get("mounts"):
        text = "error canary deployment strategy is not supported when using mounted volumes"
        yield Message(text, "deploy.strategy")


def _named_check(name: str, check: Mapping[str, Any]) -> Iterator[Message]:
    where = f"checks.{name}"
    if check.get("type") not in ("http", "tcp"):
        text = f"Can't process top level check '{name}': Missing or invalid check type, must be 'http' or 'tcp'"
        yield Message(text, f"{where}.type")
    interval, timeout = check.get("interval"), check.get("timeout")
    if interval is not None and interval < _LEAST_INTERVAL:
        text = f"Check '{name}' interval is too short: {written(interval)}, minimum is 2 seconds"
        yield Message(text, f"{where}.interval")
    if timeout is not None and timeout > _MINUTE:
        text = f"Check '{name}' timeout is too long: {written(timeout)}, maximum is 60 seconds"
        yield Message(text, f"{where}.timeout")


def _services(config: Mapping[str, Any], processes: Mapping[str, str]) -> Iterator[Message]:
    http_service = config.get("http_service")
    if http_service is not None:
        yield from _groups(http_service, processes, "http_service")
        yield from _service_checks(http_service.get("checks"), "HTTP", "http_service.checks")
    for number, service in enumerate(config.get("services") or []):
        where = f"services[{number}]"
        yield from _groups(service, processes, where)
        if not service.get("ports"):
            yield Message(_NO_PORTS, where, warning=True)
        yield from _service_checks(service.get("tcp_checks"), "TCP", f"{where}.tcp_checks")
        yield from _service_checks(service.get("http_checks"), "HTTP", f"{where}.http_checks")


def _groups(service: Mapping[str, Any], processes: Mapping[str, str], where: str) -> Iterator[Message]:
    named = service.get("processes") or []
    if not named and processes:
        text = f"Service has no processes set but app has {len(processes)} processes defined; "
        more = "update fly.toml to set processes for each service"
        yield Message(f"{text}{more}", where)
    for name in named:
        if name not in (processes or ["app"]):
            text = f"Service specifies '{name}' as one of its processes, but no processes are defined with that name; "
            more = f"update fly.toml [processes] to add '{name}' process or remove it from service's processes list"
            yield Message(text + more, f"{where}.processes")


def _service_checks(checks: Sequence[Mapping[str, Any] | None] | None, kind: str, where: str) -> Iterator[Message]:
    for number, check in enumerate(checks or []):
        for key, words in (("interval", "an interval"), ("timeout", "a timeout"), ("grace_period", "a grace period")):
            nanoseconds = (check or {}).get(key)
            if nanoseconds is None:
                continue
            begin, end = f"WARN Service {kind} check has {words}", f" ({written(nanoseconds)}); this will be"
            at = f"{where}[{number}].{key}"
            if key == "grace_period" and nanoseconds == 0:
                continue
            if nanoseconds < SECOND:
                more = " that is non-zero and" if key == "grace_period" else ""
                yield Message(f"{begin}{more} less than 1 second{end} raised to 1 second", at, warning=True)
            elif nanoseconds > _MINUTE:
                yield Message(f"{begin} greater than 1 minute{end} lowered to 1 minute", at, warning=True)


def _mount(mount: Mapping[str, Any], where: str) -> Iterator[Message]:
    name = f"mount '{mount.get('source') or ''}'"
    yield from _size(mount, "initial_size", name, where)
    retention = mount.get("snapshot_retention")
    if retention is not None and retention not in _RETENTION_DAYS:
        text = f"{name} has a snapshot_retention value which is not between 1 and 60 days inclusive"
        yield Message(text, f"{where}.snapshot_retention")
    yield from _size(mount, "auto_extend_size_increment", name, where)
    yield from _size(mount, "auto_extend_size_limit", name, where)
    threshold = mount.get("auto_extend_size_threshold") or 0
    increment, limit = _gigabytes(mount, "auto_extend_size_increment"), _gigabytes(mount, "auto_extend_size_limit")
    if not (threshold or increment or limit):
        return
    prefix = f"{name} auto_extend_size_"
    if threshold and not increment and not limit:
        text = f"{prefix}threshold, auto_extend_size_increment and auto_extend_size_limit must be all defined or none"
        yield Message(text, f"{where}.auto_extend_size_threshold")
    if threshold not in _EXTEND_AT_PERCENT:
        yield Message(f"{prefix}threshold must be between 50 and 99", f"{where}.auto_extend_size_threshold")
    if increment not in _EXTEND_BY_GB:
        yield Message(f"{prefix}increment must be between 1GB and 100GB", f"{where}.auto_extend_size_increment")
    if limit and limit not in _EXTEND_TO_GB:
        yield Message(f"{prefix}limit must be between 1GB and 500GB", f"{where}.auto_extend_size_limit")


def _size(mount: Mapping[str, Any], key: str, name: str, where: str) -> Iterator[Message]:
    value = mount.get(key) or ""
    if not value:
        return
    try:
        gigabytes = size_in_gb(value)
    except ValueError as error:
        text = f"{name} with {key} '{value}' will fail because of: invalid size: {error}"
        yield Message(text, f"{where}.{key}")
    else:
        if gigabytes < 1:
            text = f"{name} has an {key} '{value}' value which is smaller than 1GB"
            yield Message(text, f"{where}.{key}")


def _gigabytes(mount: Mapping[str, Any], key: str) -> int:
    try:
        return size_in_gb(mount.get(key) or "0")
    except ValueError:
        return 0


_SIZE = re.compile(r"(.*[0-9. ])(.*)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_SUFFIX = re.compile(r"([kmgtp]?)(?:b|ib)?")
_POWERS = " kmgtp"
_MOST_BYTES = 2**63


def size_in_gb(text: str) -> int:
    """Return a bare number as it is, another size in whole GB of 10^9 bytes; raise `ValueError` in Go's words."""
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    parts = _SIZE.fullmatch(text)
    if parts is None:
        raise ValueError(f"invalid size: '{text}'")
    number, suffix = parts[1].removesuffix(" "), parts[2].lower()
    if not _NUMBER.fullmatch(number):
        raise ValueError(f"strconv.ParseFloat: parsing {quoted(number)}: invalid syntax")
    if float(number) < 0:
        raise ValueError(f"invalid size: '{text}'")
    unit = _SUFFIX.fullmatch(suffix)
    if unit is None or suffix == "ib":
        raise ValueError(f"invalid suffix: '{suffix}'")
    return int(min(float(number) * 1000 ** _POWERS.index(unit[1] or " "), _MOST_BYTES) // 10**9)


def _restart(restart: Mapping[str, Any], groups: Mapping[str, str] | Sequence[str], where: str) -> Iterator[Message]:
    for name in restart.get("processes") or []:
        if name not in groups:
            text = f"Restart policy specifies '{name}' as one of its processes, "
            more = "but no processes are defined with that name; "
            end = (
                f"update fly.toml [processes] to add '{name}' process or remove it from restart policy's processes list"
            )
            yield Message(text + more + end, f"{where}.processes")
    policy = restart.get("policy") or ""
    if policy not in _POLICIES:
        yield Message(f"invalid restart policy: {policy}", f"{where}.policy")


def _compression(build: Mapping[str, Any]) -> Iterator[Message]:
    compression, level = build.get("compression") or "", build.get("compression_level")
    if compression not in _COMPRESSIONS:
        text = f"Invalid value '{compression}' for compression. Valid options are 'gzip', 'zstd', or leave unset."
        yield Message(text, "build.compression")
    if level is not None and not 0 <= level <= _MOST_COMPRESSION:
        text = f"Invalid value '{level}' for compression level. Must be an integer between 0 and 9."
        yield Message(text, "build.compression_level")
