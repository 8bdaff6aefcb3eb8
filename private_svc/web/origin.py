"""Tell a request of our own page from one that another page in the same browser made.

- A browser says where a request comes from: `Sec-Fetch-Site` (W3C Fetch Metadata), else `Origin` (RFC 6454). A program
  such as curl says neither: no page controls it.
- With DNS rebinding, a stranger's name points at our private address and the browser takes both for one site. So the
  name in `Host` must be one that no stranger can own: an address, a name without a dot, `.internal`, `.flycast`,
  `localhost`, the app's own `.fly.dev`, or one of ALLOWED_HOSTS.
- The whole value must be a host and perhaps a port (RFC 9110 section 7.2). A part that looks like our name does not
  count: `evil.com#.flycast` and `user:pw@evil.com` are not ours.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from private_svc.ingress import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIVATE_ENDS = (".internal", ".flycast", ".localhost")
HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[0-9A-Za-z_.-]*))(?::[0-9]{1,5})?")
HOST_AT_MOST = 253 + len(".:65535")  # the longest name there is (RFC 1035 section 2.3.4), a last dot and a port


def is_our_name(host: str, allowed: tuple[str, ...]) -> bool:
    """Return whether a request for `host`, the value of its Host header, can be meant for us; "" is no name at all."""
    return len(host) <= HOST_AT_MOST and _is_our_name(host, allowed)


@lru_cache(maxsize=256)  # callers keep to a few names
def _is_our_name(host: str, allowed: tuple[str, ...]) -> bool:
    matched = HOST.fullmatch(host)
    if matched is None:
        return False
    if matched["address"] is not None:
        return parse(matched["address"]) is not None
    name = matched["name"].lower().removesuffix(".")
    return "." not in name or name.endswith(PRIVATE_ENDS) or name in allowed or parse(name) is not None


def is_cross_site(headers: Mapping[str, str]) -> bool:
    """Return whether the browser says that another site's page made this request."""
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site.lower() not in {"same-origin", "none"}
    origin = headers.get("Origin")
    return origin is not None and _authority(origin) != headers.get("Host", "").lower()


def _authority(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None  # "null" has none
    except ValueError:
        return None
