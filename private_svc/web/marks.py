"""What every answer says about this Machine, so that a client can prove which one it was, and which request woke it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from aiohttp.http import SERVER_SOFTWARE
from multidict import CIMultiDict, istr

if TYPE_CHECKING:
    from private_svc.context import Context

TIMING = istr("Server-Timing")
MACHINE_ID = istr("X-Machine-Id")
SERVER = istr("Server")
OURS = "private-svc"
APPLICATION_DEFAULTS = {
    istr("X-Content-Type-Options"): "nosniff",
    istr("Content-Security-Policy"): "frame-ancestors 'none'; base-uri 'none'",
    # With `no-referrer`, which the panel has, browsers say `Origin: null` in a form of one of our own pages (W3C Fetch,
    # "append a request Origin header"), and the guard would take the form for another site's.
    istr("Referrer-Policy"): "same-origin",
}


@cache
def fixed(machine_id: str) -> CIMultiDict[str]:
    """Return the headers that are the same in every answer, ready to be copied."""
    return CIMultiDict(
        {
            SERVER: OURS,
            istr("X-Content-Type-Options"): "nosniff",
            istr("Referrer-Policy"): "no-referrer",
            MACHINE_ID: machine_id,
        }
    )


def timing(context: Context) -> str:
    """Return the value of `TIMING` at this moment; it tells a resume, too."""
    return context.boot.server_timing(context.awake.resumed_s)


def mark(headers: CIMultiDict[str], context: Context) -> None:
    """Put on what every answer carries."""
    headers.update(fixed(context.machine.machine_id))
    headers[TIMING] = timing(context)


def mark_application(headers: CIMultiDict[str], context: Context) -> None:
    """Put the proof on an answer of your application; of all other headers, its own stay as they are."""
    headers[MACHINE_ID] = context.machine.machine_id
    headers[TIMING] = timing(context)
    if headers.get(SERVER, SERVER_SOFTWARE) == SERVER_SOFTWARE:  # aiohttp has chosen it, not the application
        headers[SERVER] = OURS
    for name, value in APPLICATION_DEFAULTS.items():
        headers.setdefault(name, value)
