"""Who may ask: a list of checks, each a function of the request and its caller that returns a refusal or nothing.

| check, and the answer                                       | panel | APP | /healthz | /metrics |
|-------------------------------------------------------------|-------|-----|----------|----------|
| came through a public address, with PRIVATE_ONLY: 403       | asked | asked | asked  |          |
| of unknown origin, on Fly, with PRIVATE_ONLY: 403           | asked | asked |        |          |
| neither from 6PN, this Machine nor Fly's host side: 403     |       |       |        | asked    |
| expects anything but 100-continue (RFC 9110, 10.1.1): 417   | asked | asked | asked  | asked    |
| a name in Host that a stranger can own (web/origin.py): 421 | asked | asked |        | asked    |
| another site's page would change something: 403             |       | asked |        |          |
| AUTH, your own check (web/auth.py): its own answer          | asked | asked |        |          |

`/healthz` answers a caller of unknown origin, because a check that Fly sends from a new address must not take the app
down. The metrics are asked by Fly itself, which has no login.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc.exposure import advice
from private_svc.ingress import Caller, Ingress, refused
from private_svc.web.origin import is_cross_site, is_our_name
from private_svc.web.replies import problem

if TYPE_CHECKING:
    from private_svc.context import Context

Refusal = web.StreamResponse | None
Check = Callable[[web.BaseRequest, Caller], Refusal | Awaitable[Refusal]]
Login = Callable[[web.BaseRequest, Caller], Awaitable[Refusal]]
Checks = tuple[Check, ...]

PUBLIC = (
    "403: this service is private, and you came in through a public address of its app.\n"
    "Remove that address (`fly ips list`, then `fly ips release ADDRESS`) and use Flycast or 6PN,\n"
    "or set PRIVATE_ONLY=0 to serve the public.\n"
)
UNKNOWN = "403: this service is private, and it does not know the network that you came from;\n{advice}.\n"
NOT_FOR_YOU = "403: metrics are for 6PN, this Machine and Fly's host side\n"
NOT_OUR_NAME = (
    "421: the Host header has a name that this service does not answer for.\n"
    "Use its .flycast or .internal name or its address, or add the name to ALLOWED_HOSTS.\n"
)
CONTINUE = "100-continue"
NOT_EXPECTED = f"417: expected {CONTINUE} in Expect, got something else.\n"
MAY_SCRAPE = frozenset({Ingress.SIX_PN, Ingress.LOOPBACK, Ingress.PLATFORM})
CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})


def for_health(context: Context) -> Checks:
    """Return the checks of `/healthz`."""
    public = turned_away(context) & {Ingress.PUBLIC}
    return private_only(context, public), expectation


def for_panel(context: Context, login: Login | None) -> Checks:
    """Return the checks of everything of ours but `/healthz`."""
    return private_only(context, turned_away(context)), expectation, our_name(context), *([login] if login else ())


def for_app(context: Context, login: Login | None) -> Checks:
    """Return the checks of your own application."""
    return *for_panel(context, None), our_own_page, *([login] if login else ())


def for_metrics(context: Context) -> Checks:
    """Return the checks of the metrics listener."""
    return scraper, expectation, our_name(context)


async def first_refusal(checks: Checks, request: web.BaseRequest, caller: Caller) -> web.StreamResponse | None:
    """Return what the first check that refuses says, or None when the caller may go on."""
    for check in checks:
        refusal = check(request, caller)
        if refusal is not None and not isinstance(refusal, web.StreamResponse):
            refusal = await refusal
        if refusal is not None:
            return refusal
    return None


def turned_away(context: Context) -> frozenset[Ingress]:
    """Return which callers are refused for where they come from."""
    return refused(private_only=context.config.private_only, on_fly=context.machine.app_name is not None)


def private_only(context: Context, ingresses: frozenset[Ingress]) -> Check:
    """Refuse callers that came in by one of `ingresses`."""

    def check(_: web.BaseRequest, caller: Caller) -> web.Response | None:
        if caller.ingress not in ingresses:
            return None
        context.exposure.refuse(caller)
        text = PUBLIC if caller.ingress is Ingress.PUBLIC else UNKNOWN.format(advice=advice(caller))
        return web.Response(status=403, text=text)

    return check


def scraper(_: web.BaseRequest, caller: Caller) -> web.Response | None:
    """Refuse callers that are neither on 6PN, on this Machine nor on Fly's host side."""
    return None if caller.ingress in MAY_SCRAPE else web.Response(status=403, text=NOT_FOR_YOU)


def expectation(request: web.BaseRequest, _: Caller) -> web.Response | None:
    """Refuse an expectation that nobody here can meet."""
    if request.headers.get("Expect", CONTINUE).lower() == CONTINUE:
        return None
    return web.Response(status=417, text=NOT_EXPECTED)


def our_name(context: Context) -> Check:
    """Refuse requests for a name that a stranger can own."""
    own = (f"{context.machine.app_name}.fly.dev",) if context.machine.app_name else ()
    allowed = (context.config.allowed_hosts or ()) + own

    def check(request: web.BaseRequest, _: Caller) -> web.Response | None:
        return None if is_our_name(_host(request), allowed) else web.Response(status=421, text=NOT_OUR_NAME)

    return check


def our_own_page(request: web.BaseRequest, _: Caller) -> web.Response | None:
    """Refuse what another site's page sends in order to change something, and its WebSockets."""
    if request.method in CHANGES_NOTHING and "Upgrade" not in request.headers:
        return None
    return problem(request, 403, "a page of another site sent this") if is_cross_site(request.headers) else None


def _host(request: web.BaseRequest) -> str:
    """Return the name that `request` is for: that of an absolute target counts, not Host (RFC 9112 section 3.2.2)."""
    if request.raw_path.startswith(("/", "*")):
        return request.headers.get("Host", "")
    return request.url.host or ""
