"""Tell a request of our own page from one that another page in the same browser made.

- A browser says where a request comes from: `Sec-Fetch-Site` (W3C Fetch Metadata), else `Origin` (RFC 6454). A program
  like curl says neither and is nobody's puppet.
- With DNS rebinding, a stranger's name points at our private address and the browser takes both for one site. So the
  name in `Host` must be one that no stranger can own: an address, a name without a dot, `.internal`, `.flycast`,
  `localhost`, the app's own `.fly.dev`, or one of ALLOWED_HOSTS.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from private_svc.ingress import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIVATE_ENDS = (".internal", ".flycast", ".localhost")


@lru_cache(maxsize=256)  # callers keep to a few names
def is_our_name(host: str, allowed: tuple[str, ...]) -> bool:
    """Return whether a request for `host`, the value of its Host header, can be meant for us."""
    name = _name(host)
    if "." not in name or name.endswith(PRIVATE_ENDS) or name in allowed:
        return True
    return parse(name) is not None


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


def _name(host: str) -> str:
    """Return the name in a Host header, without its port, brackets and last dot."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().rstrip(".")
