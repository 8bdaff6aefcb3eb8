"""The types that flyctl gives what it reads of a fly.toml, and what Go's `encoding/json` says of a wrong one.

Rules (docs/fly.md, "fly.toml"; the fields are those of flyctl's `appconfig.Config`)
- Keys go in sorted order and match whatever their case; unknown ones are ignored.
- The first wrong type is told at the end; a mistake that a type finds itself (durations, autostop) is told at once.
- `8080.0` is an integer; a bare duration is in nanoseconds; dates are text.
"""

from __future__ import annotations

import math
from datetime import date, time
from typing import TYPE_CHECKING, Any

from shell.flytoml.autostop import auto_stop
from shell.flytoml.durations import parse
from shell.flytoml.gotext import INT64_MAX, go_text, go_type, json_number
from shell.flytoml.keypaths import key_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = "appconfig.Config"
_CHECK_TIMES = {"interval": "*fly.Duration", "timeout": "*fly.Duration", "grace_period": "*fly.Duration"}
_HTTP_CHECK = {
    **_CHECK_TIMES, "method": "*string", "path": "*string", "protocol": "*string", "tls_skip_verify": "*bool",
    "tls_server_name": "*string", "headers": "map[string]string",
}  # fmt: skip
_ANY_SERVICE = {
    "internal_port": "int", "auto_stop_machines": "*fly.MachineAutostop", "auto_start_machines": "*bool",
    "min_machines_running": "*int", "concurrency": "*fly.MachineServiceConcurrency", "processes": "[]string",
    "machine_checks": "[]*appconfig.ServiceMachineCheck",
}  # fmt: skip
_FIELDS: Mapping[str, Mapping[str, str]] = {
    ROOT: {
        "app": "string", "primary_region": "string", "kill_signal": "*string", "kill_timeout": "*fly.Duration",
        "swap_size_mb": "*int", "console_command": "string", "experimental": "*appconfig.Experimental",
        "build": "*appconfig.Build", "deploy": "*appconfig.Deploy", "env": "map[string]string",
        "processes": "map[string]string", "mounts": "[]appconfig.Mount", "http_service": "*appconfig.HTTPService",
        "services": "[]appconfig.Service", "checks": "map[string]*appconfig.ToplevelCheck",
        "files": "[]appconfig.File", "host_dedication_id": "string", "machine_config": "string",
        "container": "string", "machine_checks": "[]*appconfig.ServiceMachineCheck",
        "restart": "[]appconfig.Restart", "vm": "[]*appconfig.Compute", "statics": "[]appconfig.Static",
        "metrics": "[]*appconfig.Metrics",
    },
    "appconfig.Metrics": {"processes": "[]string"},
    "appconfig.Deploy": {
        "strategy": "string", "max_unavailable": "*float64", "wait_timeout": "*fly.Duration",
        "release_command": "string", "release_command_timeout": "*fly.Duration",
        "release_command_vm": "*appconfig.Compute", "seed_command": "string",
    },
    "appconfig.File": {
        "guest_path": "string", "local_path": "string", "secret_name": "string", "raw_value": "string",
        "processes": "[]string",
    },
    "appconfig.Static": {
        "guest_path": "string", "url_prefix": "string", "tigris_bucket": "string", "index_document": "string",
    },
    "appconfig.Mount": {
        "source": "string", "destination": "string", "initial_size": "string", "snapshot_retention": "*int",
        "scheduled_snapshots": "*bool", "auto_extend_size_threshold": "int", "auto_extend_size_increment": "string",
        "auto_extend_size_limit": "string", "processes": "[]string",
    },
    "appconfig.BuildCompose": {"file": "string"},
    "appconfig.Build": {
        "builder": "string", "args": "map[string]string", "buildpacks": "[]string", "image": "string",
        "settings": "map[string]interface {}", "builtin": "string", "dockerfile": "string", "ignorefile": "string",
        "build-target": "string", "compose": "*appconfig.BuildCompose", "compression": "string",
        "compression_level": "*int",
    },
    "appconfig.Experimental": {
        "cmd": "[]string", "entrypoint": "[]string", "exec": "[]string", "auto_rollback": "bool",
        "enable_consul": "bool", "enable_etcd": "bool", "lazy_load_images": "bool",
        "attached": "appconfig.Attached", "machine_config": "string",
    },
    "appconfig.Attached": {"secrets": "appconfig.AttachedSecrets"},
    "appconfig.AttachedSecrets": {"export": "map[string]string"},
    "appconfig.Compute": {"size": "string", "memory": "string", "processes": "[]string"},
    "appconfig.Restart": {"policy": "appconfig.RestartPolicy", "retries": "int", "processes": "[]string"},
    "appconfig.Service": {
        **_ANY_SERVICE, "protocol": "string", "ports": "[]fly.MachinePort",
        "tcp_checks": "[]*appconfig.ServiceTCPCheck", "http_checks": "[]*appconfig.ServiceHTTPCheck",
    },
    "appconfig.HTTPService": {
        **_ANY_SERVICE, "force_https": "bool", "tls_options": "*fly.TLSOptions", "http_options": "*fly.HTTPOptions",
        "checks": "[]*appconfig.ServiceHTTPCheck",
    },
    "appconfig.ServiceTCPCheck": _CHECK_TIMES,
    "appconfig.ServiceHTTPCheck": _HTTP_CHECK,
    "appconfig.ToplevelCheck": {**_HTTP_CHECK, "port": "*int", "type": "*string", "processes": "[]string"},
    "appconfig.ServiceMachineCheck": {
        "command": "[]string", "image": "string", "entrypoint": "[]string", "kill_signal": "*string",
        "kill_timeout": "*fly.Duration",
    },
    "fly.MachineServiceConcurrency": {"type": "string", "hard_limit": "int", "soft_limit": "int"},
    "fly.MachinePort": {
        "port": "*int", "start_port": "*int", "end_port": "*int", "handlers": "[]string", "force_https": "bool",
        "tls_options": "*fly.TLSOptions", "http_options": "*fly.HTTPOptions",
        "proxy_proto_options": "*fly.ProxyProtoOptions",
    },
    "fly.ProxyProtoOptions": {"version": "string"},
    "fly.TLSOptions": {"alpn": "[]string", "versions": "[]string", "default_self_signed": "*bool"},
    "fly.HTTPOptions": {
        "compress": "*bool", "response": "*fly.HTTPResponseOptions", "h2_backend": "*bool",
        "idle_timeout": "*uint32", "headers_read_timeout": "*uint32", "replay_cache": "[]fly.ReplayCache",
    },
    "fly.HTTPResponseOptions": {"headers": "map[string]interface {}", "pristine": "*bool"},
    "fly.ReplayCache": {
        "path_prefix": "string", "ttl_seconds": "int", "type": "string", "name": "string", "allow_bypass": "bool",
    },
    "fly.MachineGuest": {
        "cpu_kind": "string", "cpus": "int", "memory_mb": "int", "max_memory_mb": "int", "gpus": "int",
        "gpu_kind": "string", "host_dedication_id": "string", "persist_rootfs": "fly.MachinePersistRootfs",
        "kernel_args": "[]string",
    },
    "fly.MachineMetrics": {"port": "int", "path": "string", "https": "bool"},
}  # fmt: skip
_EMBEDDED = {"appconfig.Compute": "fly.MachineGuest", "appconfig.Metrics": "fly.MachineMetrics"}
_TEXTS = {"string", "appconfig.RestartPolicy"}
_RANGES = {"int": (-INT64_MAX - 1, INT64_MAX), "uint32": (0, 2**32 - 1)}
_ROOT_FILE_SYSTEMS = ("none", "never", "restart", "always")


class TypeMistakeError(ValueError):
    """A value has a type that flyctl refuses; the text is its own, `where` the key path."""

    def __init__(self, text: str, where: str) -> None:
        """Keep the place beside the text."""
        super().__init__(text)
        self.where = where


def decoded(tree: dict[str, Any], places: Mapping[int, str]) -> dict[str, Any]:
    """Return the fields of `tree` that flyctl knows, by their usual names, durations in nanoseconds.

    `places` has the key path of each table by its identity, for tables that have moved.  Raises `TypeMistakeError`.
    """
    for value, where in key_paths(tree):
        if isinstance(value, float) and not math.isfinite(value):
            raise TypeMistakeError(f"json: unsupported value: {go_text(value)}", where)
    decoding = _Decoding(places)
    config: dict[str, Any] = decoding.value(tree, ROOT, "", [])
    if decoding.first is not None:
        raise decoding.first
    return config


class _Decoding:
    def __init__(self, places: Mapping[int, str]) -> None:
        self.places = places
        self.first: TypeMistakeError | None = None
        self.struct = ""

    def value(self, value: object, kind: str, where: str, fields: list[str]) -> Any:
        """Return `value` as the Go type `kind`; keep the first mistake."""
        kind = kind.removeprefix("*")
        where = self.places.get(id(value), where)
        if isinstance(value, date | time):
            value = value.isoformat()
        if value is None or kind == "interface {}":
            return value
        if kind in _OWN:
            try:
                return _OWN[kind](value)
            except ValueError as error:
                raise TypeMistakeError(str(error), where) from None
        if kind.startswith("[]") and isinstance(value, list):
            entries = enumerate(value)
            return [self.value(item, kind[2:], f"{where}[{number}]", fields) for number, item in entries]
        if kind.startswith("map[string]") and isinstance(value, dict):
            of = kind.removeprefix("map[string]")
            return {key: self.value(value[key], of, f"{where}.{key}", fields) for key in sorted(value)}
        if kind in _FIELDS and isinstance(value, dict):
            return self.fields(value, kind, where, fields)
        if not _is(value, kind):
            self.mistake(value, kind, where, fields)
        return value

    def fields(self, value: dict[str, Any], kind: str, where: str, fields: list[str]) -> dict[str, Any]:
        """Return the fields of a struct."""
        found: dict[str, Any] = {}
        outside, self.struct = self.struct, kind
        for key in sorted(value):
            name = key if key in _FIELDS[kind] else key.lower()
            at = f"{where}.{key}".lstrip(".")
            inner = _EMBEDDED.get(kind, "")
            if name in _FIELDS[kind]:
                found[name] = self.value(value[key], _FIELDS[kind][name], at, [*fields, name])
            elif inner and name in _FIELDS[inner]:
                path = [*fields, inner.partition(".")[2], name]
                found[name] = self.value(value[key], _FIELDS[inner][name], at, path)
        self.struct = outside
        return found

    def mistake(self, value: object, kind: str, where: str, fields: list[str]) -> None:
        """Keep a wrong type, in the words of `encoding/json`."""
        given = _json_type(value)
        if given == "number" and kind in _RANGES and isinstance(value, int | float):
            given = f"number {json_number(value)}"
        field = ".".join([self.struct.partition(".")[2], *fields])
        text = f"json: cannot unmarshal {given} into Go struct field {field} of type {kind}"
        self.first = self.first or TypeMistakeError(text, where)


def _json_type(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "string"


def _is(value: object, kind: str) -> bool:
    given = _json_type(value)
    if kind in _RANGES and given == "number" and isinstance(value, int | float):
        least, most = _RANGES[kind]
        return value == int(value) and least <= int(value) <= most and "e" not in json_number(value)
    return (given, kind) in {("number", "float64"), ("bool", "bool")} or (given == "string" and kind in _TEXTS)


def _duration(value: object) -> int:
    if isinstance(value, bool | dict | list):
        raise ValueError(f"unknown duration type: {go_type(value)}")  # noqa: TRY004 - one error for the caller
    if isinstance(value, int | float):
        return int(value) if abs(value) <= INT64_MAX else -INT64_MAX - 1
    return parse(str(value))


def _persist_rootfs(value: object) -> str:
    given = _json_type(value)
    if isinstance(value, int | float) and given == "number" and value == int(value):
        if 0 <= value < len(_ROOT_FILE_SYSTEMS):
            return _ROOT_FILE_SYSTEMS[int(value)]
        raise ValueError(f"invalid persist_rootfs int value {int(value)}")
    if given != "string":
        raise ValueError(f"json: cannot unmarshal {given} into Go value of type string")
    if value not in ("", *_ROOT_FILE_SYSTEMS):
        raise ValueError(f'invalid persist_rootfs string value "{value}"')
    return str(value)


_OWN: Mapping[str, Callable[[object], Any]] = {
    "fly.Duration": _duration,
    "fly.MachineAutostop": auto_stop,
    "fly.MachinePersistRootfs": _persist_rootfs,
}
