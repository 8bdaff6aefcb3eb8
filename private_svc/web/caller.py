"""Who sent a request, and what logs say of it: for the guard, and for handlers of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from private_svc.ingress import Caller, Ingress
from private_svc.web.handler import Handler

if TYPE_CHECKING:
    from typing import Any

    from aiohttp import web

    from private_svc.web.connection import Connection

USER_AT_MOST = 100
PATH_AT_MOST = 200


def caller_of(request: web.BaseRequest) -> Caller:
    """Return how and from which address `request` came; unknown in a test of your application without this service."""
    connection = connection_of(request)
    if connection is None:
        return Caller(Ingress.UNKNOWN, request.remote or "")
    return connection.caller(fly_client_ips(request))


def user_of(request: web.BaseRequest) -> dict[str, Any]:
    """Return what your AUTH check put into `request["user"]`, as a field of a log line; no field without a user."""
    user = request.get("user")
    return {} if user is None else {"user": str(user)[:USER_AT_MOST]}


def path_of(request: web.BaseRequest) -> str:
    """Return the path for a log, without its query, which may hold secrets."""
    return request.rel_url.raw_path[:PATH_AT_MOST]


def fly_client_ips(request: web.BaseRequest) -> tuple[str, ...]:
    """Return every value of `Fly-Client-IP`, which may be forged."""
    return tuple(request.headers.getall("Fly-Client-IP", ()))


def connection_of(request: web.BaseRequest) -> Connection | None:
    """Return the connection that `request` came on; None in a test of your application without this service."""
    protocol = request.protocol
    return protocol.connection if isinstance(protocol, Handler) else None
