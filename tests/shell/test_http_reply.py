from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shell.http_reply import EmptyReplyError, Reply, ReplyError, read_reply

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = b"HTTP/1.1 200 OK\r\n"


def pieces(*parts: bytes) -> Callable[[int], bytes]:
    """Receive the parts one by one, then the end of the connection."""
    left = list(parts)
    return lambda _: left.pop(0) if left else b""


@pytest.mark.parametrize(
    ("raw", "status", "body_bytes"),
    [
        (HEAD + b"Content-Length: 3\r\n\r\nabc", 200, 3),
        (HEAD + b"Content-Length: 0\r\n\r\n", 200, 0),
        (HEAD + b"content-length:3 , 3\r\n\r\nabc", 200, 3),
        (HEAD + b"\r\nuntil the end", 200, 13),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n", 200, 13),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, 0),
        (b"HTTP/1.0 404\r\nContent-Length: 0\r\n\r\n", 404, 0),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 304 \r\n\r\n", 304, 0),
    ],
)
def test_a_response_is_read_whole_however_it_is_split(raw: bytes, status: int, body_bytes: int) -> None:
    for split in range(1, len(raw)):
        reply = read_reply(pieces(raw[:split], raw[split:]))
        assert (reply.status, reply.body_bytes) == (status, body_bytes), f"split at byte {split}"
    one_by_one = read_reply(pieces(*(raw[n : n + 1] for n in range(len(raw)))))
    assert (one_by_one.status, one_by_one.body_bytes) == (status, body_bytes)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"hello\n", "bare LF"),
        (b"hello\r\n", "expected an HTTP/1.1 status line"),
        (b"HTTP/2 200\r\n\r\n", "expected an HTTP/1.1 status line"),
        (HEAD + b"A: b\nC: d\r\n\r\n", "bare LF"),
        (HEAD + b"A: b\r\n folded\r\n\r\n", "expected a header line"),
        (HEAD + b"A : b\r\n\r\n", "expected a header line"),
        (HEAD + b"A: b\0c\r\n\r\n", "expected a header line"),
        (HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "both"),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "Transfer-Encoding: chunked"),
        (HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n", "one Content-Length"),
        (HEAD + b"Content-Length: -3\r\n\r\n", "one Content-Length"),
        (HEAD + b"Content-Length: 3\r\n\r\nab", "in the middle"),
        (HEAD + b"Content-Length: 99999999999\r\n\r\n", "at most 67108864 bytes"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", "chunk size"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", "after a chunk"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n", "at most 67108864 bytes"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "in the middle"),
        (HEAD, "in the middle"),
        (HEAD + b"A: b\r\n" * 20000, "longer one"),
        (HEAD + b"A: " + b"b" * 70000, "longer one"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20, "interim"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "interim"),
    ],
)
def test_a_response_that_breaks_the_rules_is_refused_in_words(raw: bytes, words: str) -> None:
    with pytest.raises(ReplyError, match=words):
        read_reply(pieces(raw))


def test_nothing_at_all_is_an_empty_reply() -> None:
    with pytest.raises(EmptyReplyError):
        read_reply(pieces())


def test_headers_are_found_whatever_their_case_and_joined() -> None:
    reply = Reply(200, (("server-timing", "a"), ("x", "y"), ("server-timing", "b")))
    assert reply.header("Server-Timing") == "a, b"
    assert reply.header("none") == ""
