"""Small answers: JSON for a program, and an error in the form that the caller asked for."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

from aiohttp import web

from private_svc.web.negotiate import Form, negotiate

if TYPE_CHECKING:
    from collections.abc import Mapping


def json_line(answer: Mapping[str, object], status: int = 200) -> web.Response:
    """Return `answer` as JSON that ends its line, for terminals."""
    return web.Response(status=status, text=json.dumps(answer) + "\n", content_type=Form.JSON)


def problem(request: web.BaseRequest, status: int, reason: str) -> web.Response:
    """Return a small error in the form that the caller asked for."""
    form = negotiate(request.headers.get("Accept", ""))
    if form is Form.JSON:
        return json_line({"status": status, "error": reason}, status)
    text = f"{status}: {reason}\n"
    if form is Form.HTML:
        text = f"<!doctype html><html lang=en><title>{status}</title><h1>{status}</h1><p>{escape(reason)}</p></html>\n"
    return web.Response(status=status, text=text, content_type=form)


def raised(request: web.BaseRequest, error: web.HTTPException) -> web.Response:
    """Return the answer that a handler raised, in the form the caller asked for unless it has words of its own."""
    if error.text in {None, f"{error.status}: {error.reason}"}:
        response = problem(request, error.status, error.reason)
    else:
        response = web.Response(
            status=error.status, reason=error.reason, text=error.text, content_type=error.content_type
        )
    for name in error.headers.keys() - response.headers.keys() - {"Content-Length"}:  # Allow, Location, ...
        response.headers[name] = error.headers[name]
    response.cookies.update(error.cookies)
    return response
