"""Bytes that programs made to judge HTTP servers send, and others of their kinds, each with the answers it must get.

`statuses` has the status of every answer on the connection, in order; then the connection ends. A row with no status
gets no answer. Sources: RFC 9110 and 9112, by the section that says MUST.
"""

from __future__ import annotations

from typing import NamedTuple

HOST = b"Host: x\r\n"
END = b"\r\n"
GET = b"GET /healthz HTTP/1.1\r\n"
GOOD = GET + HOST + END
LAST = GET + HOST + b"Connection: close\r\n" + END
POST = b"POST /api/sleep HTTP/1.1\r\n" + HOST
SIZED = POST + b"Content-Length: 5\r\n"
CODED = POST + b"Transfer-Encoding: chunked\r\n"
CHUNKED = CODED + END
BAD = b"GET / HTTP/1.1\r\nHost: x y\r\n\r\n"


class Payload(NamedTuple):
    """What is sent, and the status of each answer."""

    sent: bytes
    statuses: tuple[int, ...]


def _target(target: bytes, status: int, method: bytes = b"GET") -> Payload:
    return Payload(method + b" " + target + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n" + END, (status,))


def _host(host: bytes, status: int) -> Payload:
    return Payload(GET + b"Host: " + host + b"\r\nConnection: close\r\n" + END, (status,))


PAYLOADS = {
    # one connection, several requests: 9112 9.3.2, 9.6
    "a good request and a malformed one in the same segment": Payload(GOOD + BAD, (200, 400)),
    "a good request and noise in the same segment": Payload(GOOD + b"\0\1\2\3", (200, 400)),
    "a request that closes, and another": Payload(LAST + GOOD, (200,)),
    "an HTTP/1.0 request, and another": Payload(b"GET /healthz HTTP/1.0\r\n\r\n" + GOOD, (200,)),
    "empty lines before a request": Payload(b"\r\n\r\n" + LAST, (200,)),
    "a bare line feed before a request": Payload(b"\n" + GOOD, (400,)),
    "a bare line feed between two requests": Payload(GOOD + b"\n" + GOOD, (200, 400)),
    "two hundred requests at once": Payload(GOOD * 199 + LAST, (200,) * 200),
    # versions: 9110 2.5, 9112 2.3
    "HTTP/2.0": Payload(b"GET /healthz HTTP/2.0\r\n" + HOST + END, (505,)),
    "HTTP/2's own beginning": Payload(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505,)),
    "HTTP/3.1": Payload(b"GET /healthz HTTP/3.1\r\n" + HOST + END, (505,)),
    "HTTP/0.9": Payload(b"GET /healthz HTTP/0.9\r\n" + HOST + END, (400,)),
    "no version": Payload(b"GET /healthz\r\n\r\n", (400,)),
    "HTTP/1.2": Payload(b"GET /healthz HTTP/1.2\r\n" + HOST + b"Connection: close\r\n" + END, (200,)),
    "http/1.1": Payload(b"GET /healthz http/1.1\r\n" + HOST + END, (400,)),
    "HTTP/1": Payload(b"GET /healthz HTTP/1\r\n" + HOST + END, (400,)),
    "HTTP/1.10": Payload(b"GET /healthz HTTP/1.10\r\n" + HOST + END, (400,)),
    # the request line: 9112 3
    "two spaces": Payload(b"GET  /healthz HTTP/1.1\r\n" + HOST + END, (400,)),
    "a space in the target": Payload(b"GET /health z HTTP/1.1\r\n" + HOST + END, (400,)),
    "a tab in the target": Payload(b"GET /health\tz HTTP/1.1\r\n" + HOST + END, (400,)),
    "a fragment": _target(b"/healthz#a", 400),
    "a target of 64 KiB": Payload(b"GET /" + b"x" * 65536 + b" HTTP/1.1\r\n" + HOST + END, (414,)),
    "a bad method": Payload(b"G<T / HTTP/1.1\r\n" + HOST + END, (400,)),
    "a method that nobody knows": _target(b"/", 501, b"FROBNICATE"),
    "a method in small letters": _target(b"/", 501, b"get"),
    "the target *": _target(b"*", 400),
    "a path without its slash": _target(b"healthz", 400),
    "a target of another scheme": _target(b"ftp://x/", 400),
    "CONNECT to a path": _target(b"/healthz", 400, b"CONNECT"),
    "TLS": Payload(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), (400,)),
    "a PROXY line": Payload(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + GOOD, (400,)),
    # whom it is for: 9110 4.2.4, 9112 3.2
    "a user name in the target": _target(b"http://u:p@other/healthz", 400),
    "a target without a host": _target(b"http:///healthz", 400),
    "no Host": Payload(GET + END, (400,)),
    "HEAD without Host": Payload(b"HEAD /healthz HTTP/1.1\r\n\r\n", (400,)),
    "two Hosts": Payload(GET + HOST + b"Host: evil.example\r\n" + END, (400,)),
    "two Hosts that are the same": Payload(GET + HOST + HOST + END, (400,)),
    "a user name in Host": _host(b"u@a", 400),
    "a list of Hosts": _host(b"a, b", 400),
    "a path in Host": _host(b"evil.com/.flycast", 400),
    "a fragment in Host": _host(b"evil.com#.flycast", 400),
    "a query in Host": _host(b"evil.com?.flycast", 400),
    "a backslash in Host": _host(b"evil.com\\.flycast", 400),
    "a port that is no number": _host(b"a:b", 400),
    "a bracket that is not closed": _host(b"[::1", 400),
    "an IPv6 address and a port": _host(b"[::1]:8080", 200),
    "an empty Host": _host(b"", 200),
    # fields: 9112 2.2, 5.1, 5.2; 9110 5.5
    "a space before the colon": Payload(GET + b"Host : x\r\n\r\n", (400,)),
    "a folded field": Payload(GET + HOST + b"X: a\r\n b\r\n\r\n", (400,)),
    "a field without a name": Payload(GET + HOST + b": a\r\n\r\n", (400,)),
    "a field without a colon": Payload(GET + HOST + b"X\r\n\r\n", (400,)),
    "a space before the first field": Payload(GET + b" X: a\r\n" + HOST + END, (400,)),
    "a bare carriage return": Payload(GET + b"Host: x\rX: y\r\n\r\n", (400,)),
    "bare line feeds": Payload(b"GET / HTTP/1.1\nHost: x\n\n", (400,)),
    "one bare line feed": Payload(GET + b"Host: x\nX: y\r\n\r\n", (400,)),
    "a NUL in a field": Payload(GET + HOST + b"X: a\0b\r\n\r\n", (400,)),
    "a NUL, and nothing more": Payload(GET + HOST + b"X: a\0", (400,)),
    "64 KiB of a field": Payload(GET + HOST + b"X: " + b"x" * 65536 + b"\r\n\r\n", (431,)),
    "a thousand fields": Payload(GET + HOST + b"".join(b"X-%d: y\r\n" % n for n in range(1000)) + END, (431,)),
    # how long a body is: 9112 6.1, 6.3; 9110 8.6
    "Content-Length and chunked": Payload(SIZED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400,)),
    "chunked and Content-Length": Payload(CODED + b"Content-Length: 5\r\n\r\n0\r\n\r\n", (400,)),
    "two Content-Lengths": Payload(POST + b"Content-Length: 0\r\nContent-Length: 36\r\n\r\n" + GOOD, (400,)),
    "two Content-Lengths that are the same": Payload(POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", (400,)),
    "a list of Content-Lengths": Payload(POST + b"Content-Length: 0, 0\r\n\r\n" + GOOD, (400,)),
    "Content-Length +0": Payload(POST + b"Content-Length: +0\r\n\r\n" + GOOD, (400,)),
    "Content-Length -1": Payload(POST + b"Content-Length: -1\r\n\r\n" + GOOD, (400,)),
    "Content-Length 0x0": Payload(POST + b"Content-Length: 0x0\r\n\r\n" + GOOD, (400,)),
    "Content-Length 1_0": Payload(POST + b"Content-Length: 1_0\r\n\r\n" + GOOD, (400,)),
    "an empty Content-Length": Payload(POST + b"Content-Length: \r\n\r\n" + GOOD, (400,)),
    "Content-Length beyond 64 bits": Payload(POST + b"Content-Length: 99999999999999999999\r\n\r\n" + GOOD, (400,)),
    "an empty Transfer-Encoding": Payload(POST + b"Transfer-Encoding: \r\n\r\n" + GOOD, (400,)),
    "an empty Transfer-Encoding, and a length": Payload(SIZED + b"Transfer-Encoding:\r\n\r\nhello", (400,)),
    "chunked over HTTP/1.0": Payload(
        b"POST /api/sleep HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n", (400,)
    ),
    "a coding before chunked": Payload(POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", (501,)),
    "a coding before chunked, in two fields": Payload(
        POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (501,)
    ),
    "chunked, not last": Payload(POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + GOOD, (400,)),
    "chunked twice": Payload(POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + GOOD, (400,)),
    "chunked, misspelt": Payload(POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + GOOD, (400,)),
    "chunked after a vertical tab": Payload(POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + GOOD, (400,)),
    # chunks: 9112 7.1; /api/sleep without a token answers 403 before it reads a body
    "no size": Payload(CHUNKED + b"zz\r\n" + GOOD, (403,)),
    "a size below zero": Payload(CHUNKED + b"-1\r\n" + GOOD, (403,)),
    "0x before a size": Payload(CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n" + GOOD, (403,)),
    "a size of 20 digits": Payload(CHUNKED + b"f" * 20 + b"\r\n" + GOOD, (403,)),
    "a chunk longer than it says": Payload(CHUNKED + b"3\r\nabcdefg\r\n0\r\n\r\n" + GOOD, (403,)),
    "a size that a bare line feed ends": Payload(CHUNKED + b"0\n\n" + GOOD, (403,)),
    "a trailer that a bare line feed ends": Payload(CHUNKED + b"0\r\nX: y\n\r\n" + GOOD, (403,)),
    "a trailer without end": Payload(CHUNKED + b"0\r\nX: " + b"y" * 65536, (403,)),
    "a space and an extension": Payload(CHUNKED + b"5 ; a=b\r\nhello\r\n0\r\n\r\n" + LAST, (403, 200)),
    "a quoted extension": Payload(CHUNKED + b'5;a="b;c"\r\nhello\r\n0\r\n\r\n' + LAST, (403, 200)),
    "trailers": Payload(CHUNKED + b"0\r\nFly-Client-IP: 203.0.113.7\r\nHost: evil\r\n\r\n" + LAST, (403, 200)),
}
