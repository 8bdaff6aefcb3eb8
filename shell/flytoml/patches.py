"""How flyctl mends the tables of a fly.toml, old ones above all, before it looks at types.

Rules (flyctl's internal/appconfig/patches.go, the texts too; docs/fly.md, "fly.toml")
- Only keys in their usual case are mended; the first mistake ends it.
- `env` and `[processes]` become text by name; `[services]`, `[vm]`, `[mounts]`, `[metrics]` may be single tables.
- `[[services]]` casts ports, "soft,hard" concurrency, headers and durations; a bare duration is in milliseconds there
  and under `[checks]`, in seconds for `kill_timeout`; what is neither text nor number is none.
- Whatever order Go's maps have, here the first mistake is the one that sorts first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from shell.flytoml.durations import MILLISECOND, SECOND, written
from shell.flytoml.gotext import INT64_MAX, go_text, go_type, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTEGER = re.compile(r"[+-]?[0-9]+")
_MOST_DIGITS = 40


class PatchError(ValueError):
    """flyctl gives up; the text is its own, `where` the key path of what it stumbled over."""

    def __init__(self, text: str, where: str) -> None:
        """Keep the place beside the text."""
        super().__init__(text)
        self.where = where


def patched(tree: dict[str, Any]) -> dict[str, Any]:
    """Mend `tree` in place and return it; raise `PatchError`."""
    _env(tree)
    _services(tree)
    _processes(tree)
    _experimental(tree)
    _checks(tree)
    _several(tree, "vm", ("compute", "computes", "vm"), "compute", "memory")
    _several(tree, "mounts", ("mount", "mounts"), "mounts", "initial_size")
    _several(tree, "metrics", ("metric", "metrics"), "mounts", None)  # the word is flyctl's
    if "kill_timeout" in tree:
        tree["kill_timeout"] = _duration(tree["kill_timeout"], SECOND)
    _build(tree)
    return tree


def _env(tree: dict[str, Any]) -> None:
    if "env" in tree:
        tree["env"] = {name: _text(value) for name, value in variables(tree["env"])}


def variables(raw: object) -> Iterator[tuple[str, Any]]:
    """Yield what `env` holds, which may be a table or tables in arrays."""
    if isinstance(raw, list):
        for item in raw:
            yield from variables(item)
    elif isinstance(raw, dict):
        yield from raw.items()
    else:
        raise PatchError(f"Do not know how to process 'env' section of type: {go_type(raw)}", "env")


def _services(tree: dict[str, Any]) -> None:
    if "services" not in tree:
        return
    try:
        services = _tables(tree["services"])
    except ValueError as error:
        raise PatchError(f"Error processing services: {error}", "services") from None
    for number, service in enumerate(services):
        _service(service, f"services[{number}]")
    tree["services"] = [service for service in services if service]


def _service(service: dict[str, Any], where: str) -> None:
    if "concurrency" in service:
        service["concurrency"] = _concurrency(service["concurrency"], f"{where}.concurrency")
    if "ports" in service:
        service["ports"] = _ports(service["ports"], f"{where}.ports")
    for key in ("tcp_checks", "http_checks"):
        if key in service:
            try:
                service[key] = _tables(service[key])
                for check in service[key]:
                    _check(check)
            except ValueError as error:
                raise PatchError(f"Error processing {key}: {error}", f"{where}.{key}") from None
    if "internal_port" in service:
        service["internal_port"] = _integer(service["internal_port"], f"{where}.internal_port")


def _ports(raw: object, where: str) -> list[dict[str, Any]]:
    try:
        ports = _tables(raw)
    except ValueError:
        raise PatchError(f"Error processing ports: {go_type(raw)}", where) from None
    for number, port in enumerate(ports):
        if "port" in port:
            port["port"] = _integer(port["port"], f"{where}[{number}].port")
    return ports


def _concurrency(value: object, where: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        raise PatchError(f"Unknown type for service concurrency: {go_type(value)}", where)
    soft, comma, hard = value.partition(",")
    if not comma:
        raise PatchError(f"Unknown value '{value}' for concurrency limits", where)
    try:
        return {"type": "requests", "soft_limit": _atoi(soft), "hard_limit": _atoi(hard)}
    except ValueError as error:
        raise PatchError(f"Can not convert '{value}': {error}", where) from None


def _check(check: dict[str, Any]) -> None:
    for key in ("interval", "timeout", "grace_period"):
        if key in check:
            check[key] = _duration(check[key], MILLISECOND)
    if "headers" in check:
        check["headers"] = _headers(check["headers"])


def _headers(raw: object) -> dict[str, str]:
    if isinstance(raw, dict):
        return {name: _text(value) for name, value in raw.items()}
    if not isinstance(raw, list):
        raise ValueError(f"Unsupported headers format: {go_text(raw)}")  # noqa: TRY004 - one error for the caller
    for item in raw:
        if not isinstance(item, dict):
            raise ValueError(f"Can't cast {go_text(item)} into map[string]any")  # noqa: TRY004 - as above
        if "name" not in item:
            raise ValueError(f"Unsupported headers format {go_text(item)}")
    return {_text(item["name"]): _text(item.get("value", "")) for item in raw}


def _processes(tree: dict[str, Any]) -> None:
    raw = tree.get("processes", {})
    if isinstance(raw, list):
        named = [item for item in raw if isinstance(item, dict) and "name" in item]
        tree["processes"] = {_text(item["name"]): _text(item.get("command", "")) for item in named}
    elif not isinstance(raw, dict):
        raise PatchError(f"Unknown processes type: {go_type(raw)}", "processes")


def _experimental(tree: dict[str, Any]) -> None:
    raw = tree.get("experimental", {})
    if not isinstance(raw, dict):
        raise PatchError(f"Experimental section of unknown type: {go_type(raw)}", "experimental")
    for key in sorted({"cmd", "entrypoint", "exec"} & raw.keys()):
        raw[key] = _list_of_text(raw[key], key)
    if "kill_timeout" in raw:
        tree.setdefault("kill_timeout", raw["kill_timeout"])
    metrics = {key.removeprefix("metrics_"): raw[key] for key in ("metrics_port", "metrics_path") if key in raw}
    if metrics:
        tree.setdefault("metrics", metrics)


def _list_of_text(value: object, key: str) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        text = f"could not cast {go_text(value)} of type {go_type(value)} to []string on {key}"
        raise PatchError(text, f"experimental.{key}")
    for item in value:
        if not isinstance(item, str):
            text = f"could not cast {go_text(item)} of type {go_type(item)} to string on {key}"
            raise PatchError(text, f"experimental.{key}")
    return value


def _checks(tree: dict[str, Any]) -> None:
    raw = tree.get("checks", {})
    if not isinstance(raw, dict | list):
        raise PatchError(f"'checks' section of unknown type: {go_type(raw)}", "checks")
    if isinstance(raw, list):
        tree["checks"] = raw = dict(_named(item, f"checks[{number}]") for number, item in enumerate(raw))
    for name in sorted(raw):
        if not isinstance(raw[name], dict):
            raise PatchError(f"'checks' section of unknown type: {go_type(raw[name])}", f"checks.{name}")
        try:
            _check(raw[name])
        except ValueError as error:
            raise PatchError(str(error), f"checks.{name}.headers") from None


def _named(item: object, where: str) -> tuple[str, dict[str, Any]]:
    if not isinstance(item, dict):
        raise PatchError(f"check item of unknown type: {go_type(item)}", where)
    if not isinstance(item.get("name"), str):
        raise PatchError("check item name not a string", f"{where}.name")
    return item["name"], item


def _several(tree: dict[str, Any], key: str, names: tuple[str, ...], word: str, as_text: str | None) -> None:
    found: list[dict[str, Any]] = []
    for name in names:
        if name in tree:
            try:
                found += _tables(tree.pop(name))
            except ValueError as error:
                raise PatchError(f"Error processing {word}: {error}", name) from None
    for table in found:
        if as_text in table:
            table[as_text] = _text(table[as_text])
    tree[key] = found


def _build(tree: dict[str, Any]) -> None:
    raw = tree.get("build", {})
    if not isinstance(raw, dict):
        raise PatchError(f"Build section of unknown type: {go_type(raw)}", "build")
    if "build_target" in raw:
        raw["build-target"] = raw.pop("build_target")


def _tables(raw: object) -> list[dict[str, Any]]:
    if isinstance(raw, dict):
        return [raw]
    if not isinstance(raw, list):
        raise ValueError(f"Unknown type '{go_type(raw)}'")  # noqa: TRY004 - one error for the caller
    for item in raw:
        if not isinstance(item, dict):
            text = item if isinstance(item, str) else f"%!s({go_type(item)}={go_text(item)})"
            boolean = go_text(item) if isinstance(item, bool) else f"%!t({go_type(item)}={go_text(item)})"
            raise ValueError(f"Can not cast '{text}' of type '{boolean}' as map[string]any")  # noqa: TRY004 - as above
    return list(raw)


def _duration(value: object, bare: int) -> str | None:
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return written(_wrapped(_truncated(value) * bare))


def _integer(value: object, where: str) -> int:
    if isinstance(value, str):
        try:
            return _atoi(value)
        except ValueError as error:
            raise PatchError(f"Can not convert '{value}' to integer: {error}", where) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PatchError(f"Unknown type for cast: {go_type(value)}", where)
    return _truncated(value)


def _atoi(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"strconv.Atoi: parsing {quoted(text)}: invalid syntax")
    if len(text.lstrip("+-").lstrip("0")) > _MOST_DIGITS or not -INT64_MAX <= int(text) + 1 <= INT64_MAX + 1:
        raise ValueError(f"strconv.Atoi: parsing {quoted(text)}: value out of range")
    return int(text)


def _truncated(value: float) -> int:
    """Convert as amd64 does: what does not fit is the least integer."""
    return int(value) if abs(value) <= INT64_MAX else -INT64_MAX - 1


def _wrapped(value: int) -> int:
    return (value + INT64_MAX + 1) % 2**64 - INT64_MAX - 1


def _text(value: object) -> str:
    return value if isinstance(value, str) else go_text(value)
