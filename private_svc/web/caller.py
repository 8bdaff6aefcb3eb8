"""Who sent a request: for the guard, and for handlers of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from private_svc.ingress import Caller, Ingress
from private_svc.web.connection import Connection

if TYPE_CHECKING:
    from aiohttp import web


def caller_of(request: web.Request) -> Caller:
    """Return how and from which address `request` came; unknown once its connection is closed, or where it is not ours.

    Not ours it is in a test of your own application without this service.
    """
    connection = connection_of(request)
    if connection is None:
        return Caller(Ingress.UNKNOWN, request.remote or "")
    return connection.caller(tuple(request.headers.getall("Fly-Client-IP", ())))


def connection_of(request: web.Request) -> Connection | None:
    """Return the connection that `request` came on, while it is open."""
    protocol = request.transport.get_protocol() if request.transport is not None else None
    return protocol if isinstance(protocol, Connection) else None
