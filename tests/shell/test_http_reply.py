from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shell.http_reply import Reply, ReplyError, read_reply

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = b"HTTP/1.1 200 OK\r\n"


def pieces(*parts: bytes) -> Callable[[int], bytes]:
    """Receive the parts one by one, then the end of the connection."""
    left = list(parts)

    def receive(size: int) -> bytes:
        part = left.pop(0) if left else b""
        if len(part) > size:
            left.insert(0, part[size:])
        return part[:size]

    return receive


@pytest.mark.parametrize(
    ("raw", "status", "body_bytes"),
    [
        (HEAD + b"Content-Length: 3\r\n\r\nabc", 200, 3),
        (HEAD + b"Content-Length: 0\r\n\r\n", 200, 0),
        (HEAD + b"\r\nuntil the end", 200, 13),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n", 200, 13),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, 0),
        (b"HTTP/1.0 404\r\nContent-Length: 0\r\n\r\n", 404, 0),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 \r\n\r\n", 304, 0),
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
        (b"hello\n", "not an HTTP response: hello"),
        (b"HTTP/2 200\r\n\r\n", "not an HTTP response: HTTP/2"),
        (b"HTTP/1.1 abc\r\n\r\n", "not an HTTP response: HTTP/1.1 abc"),
        (HEAD, "in the middle of the head"),
        (HEAD + b"Content-Length: 3", "in the middle of the head"),
        (HEAD + b"A: b\r\n" * 101 + b"\r\n", "more than 100 headers"),
        (HEAD + b"A: " + b"b" * 70000, "more than 65536 bytes"),
        (HEAD + b"Content-Length: 3\r\n\r\nab", "closed 1 bytes before the body's end"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", "IncompleteRead"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabc", "not an HTTP response"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n", "IncompleteRead"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "IncompleteRead"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20, "empty reply|in the middle of the head"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "the interim status 101"),
    ],
)
def test_a_response_that_breaks_the_rules_is_refused_in_words(raw: bytes, words: str) -> None:
    with pytest.raises(ReplyError, match=words):
        read_reply(pieces(raw))


def test_nothing_at_all_is_an_empty_reply() -> None:
    with pytest.raises(ReplyError, match="empty reply: the connection was accepted"):
        read_reply(pieces())


@pytest.mark.parametrize(
    "head",
    [b"", b"Content-Length: 99999999999\r\n", b"Transfer-Encoding: chunked\r\n", b"A: b\r\n"],
    ids=["to the end", "claimed", "chunked", "another header"],
)
def test_an_endless_response_is_cut_off(head: bytes) -> None:
    first = [HEAD + head + b"\r\n" + (b"-1\r\n" if b"chunked" in head else b"")]
    taken = 0

    def receive(size: int) -> bytes:
        nonlocal taken
        piece = first.pop() if first else bytes(size)
        taken += len(piece)
        return piece

    with pytest.raises(ReplyError, match="at most 67108864 bytes"):
        read_reply(receive)
    assert taken < 70_000_000


def test_headers_are_found_whatever_their_case_and_joined() -> None:
    reply = Reply(200, (("server-timing", "a"), ("x", "y"), ("server-timing", "b")))
    assert reply.header("Server-Timing") == "a, b"
    assert reply.header("none") == ""
