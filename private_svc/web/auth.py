"""AUTH=module:check: your own check of who may use the admin listener.

`async def check(request, caller) -> Response | None` returns None to let a request go on, and an answer to refuse it;
it may raise a `web.HTTPException` instead. The guard asks it for everything but `/healthz`, WebSockets included, before
a request is routed. The check can store the user in `request["user"]`, for handlers and for the log.

It fails closed: when the check raises an exception, returns anything else, or takes longer than `AUTH_SECONDS`, the
caller gets 503, and the log alone has the reason.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
import warnings
from typing import TYPE_CHECKING, cast

from aiohttp import web

from private_svc import logs
from private_svc.config import ConfigError
from private_svc.seams import check_arguments, load
from private_svc.web.replies import problem, raised

if TYPE_CHECKING:
    from private_svc.ingress import Caller
    from private_svc.web.guard import Login

AUTH_SECONDS = 5.0


async def find(module_name: str, name: str) -> Login:
    """Return the check that AUTH names, failing closed; raise `ConfigError`."""
    # In a thread: an import may take long, and the raw port is answered meanwhile.
    check = await asyncio.get_running_loop().run_in_executor(None, load, "AUTH", module_name, name)
    if not (inspect.iscoroutinefunction(check) or inspect.iscoroutinefunction(getattr(check, "__call__", None))):  # noqa: B004 - an object may be asked as well
        expected = f"AUTH: expected async def {name}(request, caller) in {module_name}, got {check!r:.100}"
        raise ConfigError([expected])
    check_arguments("AUTH", check, "request", "caller")
    # aiohttp recommends typed keys; "user" is what every check and handler can write without an import.
    warnings.filterwarnings("ignore", "It is recommended to use web.RequestKey", web.NotAppKeyWarning)
    return failing_closed(cast("Login", check))


def failing_closed(check: Login, seconds: float = AUTH_SECONDS) -> Login:
    """Return `check` with every failure as a refusal; it has `seconds` for an answer."""

    async def ask(request: web.BaseRequest, caller: Caller) -> web.StreamResponse | None:
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                refusal = await check(request, caller)
            _judge(refusal, is_late=time.monotonic() - began_s > seconds)
        except web.HTTPException as error:
            return raised(request, error)
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # this request is cancelled, not by the check
            logs.event(
                "AUTH failed, the caller was refused",
                level=logging.ERROR,
                exc_info=not isinstance(error, TimeoutError | TypeError),
                reason=f"no answer within {seconds:g} s" if isinstance(error, TimeoutError) else repr(error)[:200],
                client=caller.client,
            )
            return problem(request, 503, "the login check failed; the log of the service has the reason")
        return refusal

    return ask


def _judge(refusal: object, *, is_late: bool) -> None:
    """Raise an error when `refusal` is neither None nor an answer that can be sent."""
    if is_late:  # a check may swallow the cancellation, or block the event loop so that nobody can cancel it
        raise TimeoutError
    if refusal is not None and not isinstance(refusal, web.StreamResponse):
        raise TypeError(f"expected a Response or None, got {type(refusal).__name__}")
    if isinstance(refusal, web.StreamResponse) and refusal.prepared:
        raise TypeError("expected a new Response for each request, got one that was sent before")
