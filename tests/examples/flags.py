"""A small admin page: feature flags, with a list and a form. APP=tests.examples.flags:make puts it at /app/."""

from __future__ import annotations

import re
from html import escape
from string import Template

from aiohttp import web

from private_svc import logs
from private_svc.web.admin_token import require_token
from private_svc.web.caller import caller_of

FLAGS = web.AppKey("flags", dict[str, bool])
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
PAGE = Template("""<!doctype html>
<html lang="en">
<title>Feature flags</title>
<h1>Feature flags</h1>
<ul>$rows</ul>
<form method="post"><label>New flag <input name="name" required></label> <button>Add</button></form>
<p>You came in by $ingress, as $client.</p>
</html>
""")
ROW = Template("""<li>$name is $state
<form method="post" action="turn"><button name="name" value="$name">Turn</button></form></li>
""")


def make() -> web.Application:
    """Return the application; called once, when the service starts."""
    web_app = web.Application(client_max_size=4096)
    web_app[FLAGS] = {}
    web_app.add_routes([web.get("/", show), web.post("/", add), web.post("/turn", turn), web.delete("/", forget)])
    return web_app


async def show(request: web.Request) -> web.Response:
    """Show every flag, and a form for one more."""
    caller, flags = caller_of(request), request.app[FLAGS]
    rows = "".join(ROW.substitute(name=escape(name), state="on" if flags[name] else "off") for name in sorted(flags))
    page = PAGE.substitute(rows=rows, ingress=caller.ingress, client=escape(caller.client))
    return web.Response(text=page, content_type="text/html", headers=HEADERS)


async def add(request: web.Request) -> web.Response:
    """Add a flag that is off; 400 for a name that cannot be one."""
    name = str((await request.post()).get("name", ""))
    if not NAME.fullmatch(name):
        raise web.HTTPBadRequest(reason="a name has up to 40 small letters, digits and hyphens, a letter first")
    request.app[FLAGS].setdefault(name, False)
    raise web.HTTPSeeOther("./")


async def turn(request: web.Request) -> web.Response:
    """Turn a flag on or off; 404 when there is none of that name."""
    flags, name = request.app[FLAGS], str((await request.post()).get("name", ""))
    if name not in flags:
        raise web.HTTPNotFound(reason="there is no flag of that name")
    flags[name] = not flags[name]
    logs.event("flag turned", flag=name, on=flags[name], client=caller_of(request).client)
    raise web.HTTPSeeOther("./")


async def forget(request: web.Request) -> web.Response:
    """Forget every flag; only for callers with the ADMIN_TOKEN."""
    require_token(request, "forget every flag")
    request.app[FLAGS].clear()
    return web.Response(status=204)
