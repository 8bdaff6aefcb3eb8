"""Where requests begin and end: the same, however the bytes are cut."""

from __future__ import annotations

import pytest

from private_svc.web.framing import BadRequestError, ChunkedBody, SizedBody, check_beginning, read_head

HEAD = b"POST /a?b HTTP/1.1\r\nHost: x\r\nX-Empty:\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = b'5;a="b"\r\nhello\r\n00A \t;x\r\n0123456789\r\n0\r\nX: y\r\nFly-Client-IP: fdaa::1\r\n\r\n'
PLAIN = b"5\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\n"
NEXT = b"GET / HTTP/1.1\r\n"


def test_a_head_is_handed_on_as_it_came() -> None:
    head = read_head(HEAD)
    assert (head.data, head.asks_for_tunnel, head.body.is_complete) == (HEAD, False, False)


def test_a_later_http_1_is_read_as_http_1_1() -> None:
    assert read_head(b"GET / HTTP/1.7\r\nHost: x\r\n\r\n").data == b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("asked", [b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"upgrade: h2c\r\n"])
def test_a_request_for_another_protocol_is_told_apart(asked: bytes) -> None:
    assert read_head(b"GET / HTTP/1.1\r\nHost: x\r\n" + asked + b"\r\n").asks_for_tunnel


@pytest.mark.parametrize("length", range(len(HEAD)))
def test_no_beginning_of_a_good_head_is_refused(length: int) -> None:
    check_beginning(HEAD[:length])


@pytest.mark.parametrize("first", range(1, len(CHUNKED)))
def test_a_chunked_body_loses_extensions_and_trailers_wherever_it_is_cut(first: int) -> None:
    body = ChunkedBody()
    sent = CHUNKED + NEXT
    plain, rest = body.cut(sent[:first])
    assert rest == b""
    more, rest = body.cut(sent[first:])
    assert (plain + more, rest, body.is_complete) == (PLAIN, NEXT, True)


def test_a_chunked_body_may_come_a_byte_at_a_time() -> None:
    body = ChunkedBody()
    assert b"".join(body.cut(bytes([byte]))[0] for byte in CHUNKED) == PLAIN
    assert body.is_complete


@pytest.mark.parametrize("line", [b"x" * 8190, b"0\r\n" + b"X: y\r\n" * 1366, b"5;" + b"a" * 8190])
def test_what_a_chunked_body_says_beside_its_data_is_bounded(line: bytes) -> None:
    with pytest.raises(BadRequestError):
        ChunkedBody().cut(line)


def test_a_sized_body_ends_with_its_last_byte() -> None:
    body = SizedBody(5)
    assert body.cut(b"hel") == (b"hel", b"")
    assert not body.is_complete
    assert body.cut(b"lo" + NEXT) == (b"lo", NEXT)
    assert body.is_complete
