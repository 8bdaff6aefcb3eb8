"""Your own aiohttp application, APP=module:factory, at /app/.

- `factory` returns an `aiohttp.web.Application`, or is a coroutine function that does.
- It stands behind the same guard as the panel: who is refused never reaches it.
- No token protects it, so another site's page in the browser of somebody who may come in must not act through it: what
  such a page sends to change something, and its WebSockets, are refused (web/origin.py has the rules).
- Its pages get `Referrer-Policy: same-origin`. With `no-referrer`, which the panel has, browsers say `Origin: null` in
  a form of our own page (W3C Fetch, "append a request Origin header"), and it would be taken for another site's.

docs/adapting.md has an example.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc.config import ConfigError
from private_svc.seams import blamed, load
from private_svc.web.guard import problem
from private_svc.web.origin import is_cross_site

if TYPE_CHECKING:
    from collections.abc import Callable

    from private_svc.web.guard import Handler

PREFIX = "/app"
ONLY_LOOKS = ("GET", "HEAD", "OPTIONS")


async def mount(web_app: web.Application, module_name: str, factory_name: str) -> None:
    """Make the application and put it under `PREFIX`; raise `ConfigError`."""
    name = f"{module_name}:{factory_name}"
    # In a thread: an import may take long, and hello is answered meanwhile.
    factory = await asyncio.get_running_loop().run_in_executor(None, find, module_name, factory_name)
    made = await make(name, factory)
    made.middlewares.insert(0, refuse_other_sites)
    made.on_response_prepare.insert(0, tell_our_own_pages_apart)
    web_app.router.add_route("*", PREFIX, to_the_slash)
    web_app.add_subapp(PREFIX, made)


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
        raise ConfigError([f"APP: expected an aiohttp.web.Application of {name}, got {type(made).__name__}"])
    if made.frozen:
        raise ConfigError([f"APP: expected a new application of {name}, got one that is in use"])
    return made


@web.middleware
async def refuse_other_sites(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what another site's page sends in order to change something."""
    if (request.method not in ONLY_LOOKS or "Upgrade" in request.headers) and is_cross_site(request.headers):
        return problem(request, 403, "a page of another site sent this")
    return await handler(request)


async def tell_our_own_pages_apart(_: web.Request, response: web.StreamResponse) -> None:
    """Let browsers name the origin of a form on a page of ours, to us alone."""
    response.headers["Referrer-Policy"] = "same-origin"


async def to_the_slash(request: web.Request) -> web.StreamResponse:
    """Send who asks for /app to /app/, so that relative links work."""
    raise web.HTTPTemporaryRedirect(request.rel_url.with_path(f"{PREFIX}/", keep_query=True))
