"""A login at a proxy in front, which signs who the user is.

AUTH=tests.examples.signed_user:check believes it. The proxy sends `X-Signed-User: user|expiry|signature`. The expiry is
in seconds since 1970, and the signature is the HMAC-SHA256 of `user|expiry` in hexadecimal, with the key of the secret
USER_KEY, which the proxy and this app share.
"""

from __future__ import annotations

import hmac
import os
import re
import time
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

    from private_svc.ingress import Caller

SIGNED = re.compile(r"(?P<text>(?P<user>[\w.@+-]{1,100})\|(?P<expiry>\d{1,12}))\|(?P<signature>[0-9a-f]{64})", re.ASCII)
VALID_SECONDS = 300  # a proxy that signs for longer has a fault, or somebody has its key


class SignedUser:
    """Lets in whom the proxy vouches for."""

    def __init__(self, key: str, clock: Callable[[], float] = time.time) -> None:
        if not re.fullmatch(r"[0-9a-f]{64,}", key):
            raise ValueError("USER_KEY: expected 64 hexadecimal digits or more, as `openssl rand -hex 32` gives")
        self._key = bytes.fromhex(key)
        self._clock = clock

    async def __call__(self, request: web.BaseRequest, _: Caller) -> web.Response | None:
        """Let the user of a valid signature in."""
        values = request.headers.getall("X-Signed-User", ())
        matched = SIGNED.fullmatch(values[0]) if len(values) == 1 else None
        if matched is None or not hmac.compare_digest(self.sign(matched["text"]), matched["signature"]):
            return web.Response(status=403, text="403: come in through the proxy that knows you\n")
        if not 0 <= int(matched["expiry"]) - self._clock() <= VALID_SECONDS:
            return web.Response(status=403, text="403: the proxy's word for you has expired\n")
        request["user"] = matched["user"]
        return None

    def sign(self, text: str) -> str:
        """Return the signature of `user|expiry`."""
        return hmac.digest(self._key, text.encode(), "sha256").hex()


check = SignedUser(os.environ.get("USER_KEY", ""))  # without a key the service does not start
