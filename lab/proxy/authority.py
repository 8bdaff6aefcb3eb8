"""Which server a request is for: the one reading of a Host field and of the authority in an absolute target.  Pure.

Rules (RFC 3986 section 3.2, RFC 9110 sections 4.2 and 7.2, RFC 9112 section 3.2):

- An authority is a name, an IPv4 address, or an IPv6 address in brackets, and perhaps a colon and a decimal port.
- Userinfo is an error in an http URI. So is a comma, which RFC 3986 lets stand in a name: whoever joins two Host
  fields makes one of it.
- A Host field may be empty; an http URI always names a host.
- An absolute target has no fragment. One without a path asks for `/`, and with OPTIONS for `*` (RFC 9112, 3.2.4).
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

_LAST_PORT: Final = 65535
_AUTHORITY = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+)(?::([0-9]{0,5}))?"
)
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(/[^#]*|\?[^#]*)?", re.IGNORECASE)


def is_authority(text: bytes) -> bool:
    """Tell whether `text` names a server as an http URI does."""
    found = _AUTHORITY.fullmatch(text)
    if found is None or int(found[2] or b"0") > _LAST_PORT:
        return False
    return found[1] is None or _is_ipv6(found[1])


def split_absolute(method: bytes, target: bytes) -> tuple[bytes, bytes] | None:
    """Return the authority of an absolute target, and what its server is asked for; None when it is not an http URI."""
    found = _ABSOLUTE.fullmatch(target)
    if found is None or not is_authority(found[1]):
        return None
    path = found[2] or (b"*" if method == b"OPTIONS" else b"/")
    return found[1], path if path[:1] != b"?" else b"/" + path


def _is_ipv6(text: bytes) -> bool:
    try:
        IPv6Address(text.decode("ascii"))
    except AddressValueError:
        return False
    return True
