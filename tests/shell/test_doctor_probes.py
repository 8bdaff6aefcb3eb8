from __future__ import annotations

import errno
import socket
from itertools import count
from typing import TYPE_CHECKING

import pytest

from shell.answers import Answer, Outcome, RecordType
from shell.doctor.probes import Place, Reached, Tried, fetch, greet, knock
from shell.phases import Edge, open_connection
from tests.shell.scripted_http import ScriptedServer, answering, closing, resetting, saying

if TYPE_CHECKING:
    from tests.shell.scripted_http import Handler


def ask(name: str, kind: RecordType) -> Answer:
    return Answer(name, kind, Outcome.NXDOMAIN)


EDGE = Edge(ask, open_connection)


def hanging(connection: socket.socket) -> None:
    """Say nothing until the client has gone."""
    while connection.recv(65536):
        pass


def dripping(connection: socket.socket) -> None:
    """Say one byte after the other, without end."""
    for _ in count():
        connection.sendall(b"H")


def get(handler: Handler, seconds: float = 5.0) -> Tried:
    with ScriptedServer(handler) as server:
        return fetch(Place("::1", server.port, seconds), "shop.flycast", "/", EDGE)


@pytest.mark.parametrize(
    ("handler", "reached", "status", "said"),
    [
        (answering(b"ok\n"), Reached.ANSWERED, 200, b"ok\n"),
        (answering(status="503 Service Unavailable"), Reached.ANSWERED, 503, b"ok\n"),
        (closing, Reached.EMPTY, 0, b""),
        (resetting, Reached.RESET, 0, b""),
        (saying(b"hello\n"), Reached.GARBLED, 0, b""),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), Reached.GARBLED, 0, b""),
    ],
)
def test_a_request_tells_how_far_it_came(handler: Handler, reached: Reached, status: int, said: bytes) -> None:
    tried = get(handler)
    assert (tried.reached, tried.status, tried.said) == (reached, status, said), tried


def test_a_request_keeps_where_it_is_sent() -> None:
    tried = get(answering(status="301 Moved Permanently", headers="Location: https://shop.flycast/\r\n"))
    assert str(tried).startswith("301 to https://shop.flycast/ after ")


def test_a_body_is_kept_only_so_far() -> None:
    assert len(get(answering(b"x" * 1_000_000)).said) == 256 * 1024


def test_one_deadline_bounds_a_whole_request() -> None:
    ticks = count()
    edge = Edge(ask, open_connection, lambda: next(ticks) / 10)
    with ScriptedServer(dripping) as server:
        tried = fetch(Place("::1", server.port, 1.0), "shop.flycast", "/", edge)
    assert tried.reached in {Reached.STALLED, Reached.GARBLED}, tried
    assert next(ticks) < 30, "it went on after its deadline"


def test_an_answer_that_does_not_come_is_told_from_a_connection_that_does_not() -> None:
    assert get(hanging, 0.2).reached is Reached.STALLED


@pytest.mark.parametrize(
    ("error", "reached"),
    [
        (TimeoutError(), Reached.SILENT),
        (ConnectionRefusedError(), Reached.REFUSED),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), Reached.NO_ROUTE),
        (OSError(errno.EHOSTUNREACH, "No route to host"), Reached.NO_ROUTE),
        (PermissionError(errno.EACCES, "Permission denied"), Reached.NO_ROUTE),
    ],
)
def test_every_way_a_connect_fails_is_told(error: OSError, reached: Reached) -> None:
    def connect(_address: str, _port: int, _seconds: float) -> socket.socket:
        raise error

    tried = knock(Place("::1", 1, 1.0), Edge(ask, connect))
    assert (tried.reached, tried.reached.was_accepted) == (reached, False)


def test_a_knock_needs_no_answer() -> None:
    with ScriptedServer(closing) as server:
        assert knock(Place("::1", server.port, 5.0), EDGE).reached is Reached.ACCEPTED


@pytest.mark.parametrize(
    ("pieces", "reached", "said"),
    [
        ((b"hello\n",), Reached.ANSWERED, b"hello\n"),
        ((b"hel", b"lo\n"), Reached.ANSWERED, b"hello\n"),
        ((b"hel",), Reached.ANSWERED, b"hel"),
        ((), Reached.EMPTY, b""),
    ],
)
def test_a_greeting_is_the_first_line(pieces: tuple[bytes, ...], reached: Reached, said: bytes) -> None:
    def handle(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)

    with ScriptedServer(handle) as server:
        tried = greet(Place("::1", server.port, 5.0), EDGE)
    assert (tried.reached, tried.said) == (reached, said)


def test_a_greeting_without_end_is_cut() -> None:
    with ScriptedServer(dripping) as server:
        assert len(greet(Place("::1", server.port, 5.0), EDGE).said) <= 2 * 64
