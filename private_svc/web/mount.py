"""Your own aiohttp application, APP=module:factory, at /app/.

`factory` returns an `aiohttp.web.Application`, or is a coroutine that does. It stands behind the same guard as the
panel: who is refused never reaches it. docs/adapting.md has an example.
"""

from __future__ import annotations

import inspect
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "/app"


def find(module_name: str, factory_name: str) -> Callable[[], object]:
    """Return the factory; raise `ConfigError` when it is not there. Modules are looked for in this directory first."""
    if os.getcwd() not in sys.path:  # noqa: PTH109 - a string is what sys.path holds
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        factory: Callable[[], object] | None = getattr(import_module(module_name), factory_name, None)
    except Exception as error:
        raise ConfigError([f"APP: cannot import {module_name}: {_said(error)}"]) from error
    if not callable(factory):
        raise ConfigError([f"APP: expected a function {factory_name} in {module_name}, got {factory!r}"])
    return factory


async def make(name: str, factory: Callable[[], object]) -> web.Application:
    """Return the application that `factory` makes; raise `ConfigError`."""
    try:
        made = factory()
        if inspect.isawaitable(made):
            made = await made
    except Exception as error:
        raise ConfigError([f"APP: {name} failed: {_said(error)}"]) from error
    if not isinstance(made, web.Application):
        raise ConfigError([f"APP: expected an aiohttp.web.Application of {name}, got {type(made).__name__}"])
    return made


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
