"""Request smuggling, class by class: every odd framing with every odd body, and a second request behind each.

Rules (RFC 9112 sections 5.1, 5.2, 6.1, 6.3, 7.1 and 11.2): what is framed twice, or in a way that two readers could
read differently, is refused, and nothing behind it is a request. Whatever is let through is the same requests to
everybody; `tests.fuzz.readings` has who everybody is.
"""

from __future__ import annotations

import pytest

from tests.fuzz.campaign import failures_of
from tests.fuzz.targets import TARGETS

CHUNKED = b"Transfer-Encoding: chunked\r\n"
REFUSED = {
    "both": b"Content-Length: 5\r\n" + CHUNKED,
    "both, turned round": CHUNKED + b"Content-Length: 5\r\n",
    "another coding": b"Transfer-Encoding: gzip\r\n",
    "identity": b"Transfer-Encoding: identity\r\n",
    "chunked, identity": b"Transfer-Encoding: chunked, identity\r\n",
    "identity, chunked": b"Transfer-Encoding: identity, chunked\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n",
    "chunked in two fields": CHUNKED + CHUNKED,
    "almost chunked": b"Transfer-Encoding: xchunked\r\n",
    "chunked with a parameter": b"Transfer-Encoding: chunked;q=1\r\n",
    "chunked in quotes": b'Transfer-Encoding: "chunked"\r\n',
    "vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "next line": b"Transfer-Encoding: \x85chunked\r\n",
    "no-break space": b"Transfer-Encoding: \xa0chunked\r\n",
    "NUL": b"Transfer-Encoding: chunked\x00\r\n",
    "space before the colon": b"Transfer-Encoding : chunked\r\n",
    "tab before the colon": b"Transfer-Encoding\t: chunked\r\n",
    "folded": b"Transfer-Encoding:\r\n chunked\r\n",
    "folded into another": b"X: y\r\n Transfer-Encoding: chunked\r\n",
    "bare CR": b"X: y\rTransfer-Encoding: chunked\r\n",
    "bare LF": b"X: y\nTransfer-Encoding: chunked\r\n",
    "LF at the end": b"Transfer-Encoding: chunked\n",
    "empty coding": b"Transfer-Encoding:\r\n",
    "length twice": b"Content-Length: 5\r\nContent-Length: 5\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 0\r\n",
    "list of lengths": b"Content-Length: 5, 5\r\n",
    "plus": b"Content-Length: +5\r\n",
    "minus": b"Content-Length: -5\r\n",
    "hexadecimal": b"Content-Length: 0x5\r\n",
    "fraction": b"Content-Length: 5.0\r\n",
    "exponent": b"Content-Length: 5e0\r\n",
    "underscore": b"Content-Length: 0_5\r\n",
    "other digits": "Content-Length: \u0665\r\n".encode(),
    "no length": b"Content-Length:\r\n",
    "too long": b"Content-Length: 18446744073709551621\r\n",
    "folded length": b"Content-Length: 1\r\n 5\r\n",
}
TAKEN = {
    "nothing": b"",
    "length": b"Content-Length: 5\r\n",
    "length with zeros": b"Content-Length: 0005\r\n",
    "chunked": CHUNKED,
    "in capitals": b"TRANSFER-ENCODING: CHUNKED\r\n",
    "no space": b"Transfer-Encoding:chunked\r\n",
    "tab": b"Transfer-Encoding:\tchunked\t\r\n",
    "named for one hop": b"Connection: transfer-encoding\r\n" + CHUNKED,
    "length named for one hop": b"Connection: content-length\r\nContent-Length: 5\r\n",
}
BODIES = {
    "five bytes": b"hello",
    "chunks": b"5\r\nhello\r\n0\r\n\r\n",
    "the last chunk": b"0\r\n\r\n",
    "extension": b"5;x=y\r\nhello\r\n0\r\n\r\n",
    "extension in quotes": b'5;x="\r\n"\r\nhello\r\n0\r\n\r\n',
    "extension that ends in LF": b"5;\nhello\r\n0\r\n\r\n",
    "extension with CR": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "spaces behind the size": b"5 \r\nhello\r\n0 \r\n\r\n",
    "space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "zeros": b"0000000005\r\nhello\r\n000\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "more than 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "all of 64 bits": b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "LF alone": b"5\nhello\n0\n\n",
    "LF behind the data": b"5\r\nhello\n0\r\n\r\n",
    "CR alone": b"5\rhello\r0\r\r",
    "another end of the chunk": b"5\r\nhelloXX0\r\n\r\n",
    "too much in the chunk": b"5\r\nhello there\r\n0\r\n\r\n",
    "trailer": b"5\r\nhello\r\n0\r\nX-T: v\r\n\r\n",
    "trailer with a length": b"5\r\nhello\r\n0\r\nContent-Length: 40\r\n\r\n",
    "trailer with a coding": b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\nHost: b\r\n\r\n",
    "trailer that is none": b"5\r\nhello\r\n0\r\nGET /in-between HTTP/1.1\r\n\r\n",
    "trailer that ends in LF": b"5\r\nhello\r\n0\r\nX-T: v\n\r\n",
}
SERVERS = sorted(TARGETS.keys() & {"proxy_request", "service_request"})
BEHIND = b"GET /behind HTTP/1.1\r\nHost: a\r\n\r\n"


def requests_with(framing: bytes) -> list[bytes]:
    start = b"POST /first HTTP/1.%d\r\nHost: a\r\n%b\r\n%b%b"
    return [start % (minor, framing, body, BEHIND) for minor in (1, 0) for body in BODIES.values()]


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("framings", [REFUSED, TAKEN], ids=["refused", "taken"])
def test_every_odd_framing_has_one_reading_or_none(name: str, framings: dict[str, bytes]) -> None:
    target = TARGETS[name]
    few = [data for framing in framings.values() for data in requests_with(framing)[:2]]
    broken = failures_of(target, few)
    assert not broken, "\n".join(map(str, broken))


@pytest.mark.long
@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("framing", [*REFUSED, *TAKEN])
def test_every_odd_framing_with_every_odd_body_has_one_reading_or_none(name: str, framing: str) -> None:
    broken = failures_of(TARGETS[name], requests_with((REFUSED | TAKEN)[framing]))
    assert not broken, "\n".join(map(str, broken))
