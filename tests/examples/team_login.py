"""A login for a team: HTTP Basic, with names and passwords from the secret TEAM.

AUTH=tests.examples.team_login:check puts it in front.
"""

from __future__ import annotations

import hmac
import os
import secrets
from base64 import b64decode
from hashlib import sha256
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from private_svc.ingress import Caller

PASSWORD_AT_LEAST = 16
NOBODY = secrets.token_bytes(32)  # what the password of an unknown name is compared with, so that it takes as long


def read_team(text: str) -> dict[str, bytes]:
    """Return the digest of each password by name, from words like `ann:her-password`; raise `ValueError`."""
    team = {}
    for word in text.split():
        name, _, password = word.partition(":")
        if not name or len(password) < PASSWORD_AT_LEAST:
            raise ValueError(f"TEAM: expected name:password, {PASSWORD_AT_LEAST} characters or more for each password")
        team[name] = digest(password)
    if not team:
        raise ValueError("TEAM: expected words like name:password, got none")
    return team


def digest(password: str) -> bytes:
    """Return what is compared: digests are of one length, whatever the passwords are."""
    return sha256(password.encode()).digest()


def credentials(authorization: str) -> tuple[str, str]:
    """Return the name and the password in an Authorization header; both are empty when there are none (RFC 7617)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return name, password


async def check(request: web.BaseRequest, _: Caller) -> web.Response | None:
    """Let a member of the team in; have the browser of everybody else ask for a name and a password."""
    name, password = credentials(request.headers.get("Authorization", ""))
    if hmac.compare_digest(TEAM.get(name, NOBODY), digest(password)):
        request["user"] = name
        return None
    ask = {"WWW-Authenticate": 'Basic realm="team", charset="UTF-8"'}
    return web.Response(status=401, text="401: expected a name and a password of the team\n", headers=ask)


TEAM = read_team(os.environ.get("TEAM", ""))  # without a team the service does not start
