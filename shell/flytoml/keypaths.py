"""Every value below a table, with its key path as messages write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def key_paths(value: Any, where: str = "") -> Iterator[tuple[Any, str]]:
    """Yield `value` and what it holds, keys in sorted order as Go's JSON has them."""
    yield value, where
    if isinstance(value, dict):
        for key in sorted(value):
            yield from key_paths(value[key], f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from key_paths(item, f"{where}[{number}]")
