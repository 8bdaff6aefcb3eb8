"""Your own aiohttp application, APP=module:factory, at APP_PATH.

- `factory` returns an `aiohttp.web.Application`, or is a coroutine function that does.
- It stands behind the same guard as the panel: a caller that is refused never reaches it. No token protects it, so
  another site's page in the browser of somebody who may come in must not act through it (web/guard.py).
- It is an application of its own, not part of the panel's, so its limits, its middlewares and its errors are its own.

docs/adapting.md has an example.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, NoReturn

from aiohttp import web

from private_svc.config import ConfigError
from private_svc.seams import blamed, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.http import RawRequestMessage

    RequestFactory = Callable[..., web.BaseRequest]

OURS = "/_/"  # where the panel is when the application has everything


class Mounted:
    """An application that was started, at its path."""

    def __init__(self, path: str, server: web.Server) -> None:
        self._path = path
        self.server = server

    def covers(self, path: str) -> bool:
        """Tell whether a request for `path` is for the application."""
        if self._path == "/":
            return not f"{path}/".startswith(OURS)
        return f"{path}/".startswith(self._path)

    def before(self, panel: RequestFactory) -> RequestFactory:
        """Return what makes the requests for the application, with its own limits, and has `panel` make all others."""

        def make_request(message: RawRequestMessage, *rest: object) -> web.BaseRequest:
            factory: RequestFactory = self.server.request_factory if self.covers(message.url.path) else panel
            return factory(message, *rest)

        return make_request


async def mount(module_name: str, factory_name: str, path: str) -> web.Application:
    """Return the application, which answers below `path`; raise `ConfigError`."""
    # In a thread: an import may take long, and the raw port is answered meanwhile.
    factory = await asyncio.get_running_loop().run_in_executor(None, find, module_name, factory_name)
    made = await make(f"{module_name}:{factory_name}", factory)
    if path != "/":
        for resource in list(made.router.resources()):
            made.router.unindex_resource(resource)
            resource.add_prefix(path.rstrip("/"))
            made.router.index_resource(resource)
        made.router.add_route("*", path.rstrip("/"), to_the_slash)
    return made


def find(module_name: str, factory_name: str) -> Callable[[], object]:
    """Return the factory; raise `ConfigError` when it is not there."""
    factory = load("APP", module_name, factory_name)
    if not callable(factory):
        raise ConfigError([f"APP: expected a function {factory_name} in {module_name}, got {factory!r}"])
    return factory


async def make(name: str, factory: Callable[[], object]) -> web.Application:
    """Return the application that `factory` makes; raise `ConfigError`."""
    with blamed("APP", f"{name} failed"):
        made = factory()
        if inspect.isawaitable(made):
            made = await made
    if not isinstance(made, web.Application):
        raise ConfigError([f"APP: expected an aiohttp.web.Application from {name}, got {type(made).__name__}"])
    if made.frozen:
        raise ConfigError([f"APP: expected a new application from {name}, got one that was started before"])
    return made


async def to_the_slash(request: web.Request) -> NoReturn:
    """Redirect /app to /app/, so that relative links work."""
    raise web.HTTPTemporaryRedirect(request.rel_url.with_path(f"{request.path}/", keep_query=True))
