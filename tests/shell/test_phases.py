from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from shell.answers import Answer, Outcome, RecordType
from shell.errors import NotWellError
from shell.phases import Edge, Protocols, RequestError, Target, Timed, open_connection, time_kept, time_request
from tests.shell.scripted_http import (
    ScriptedServer,
    answering,
    closing,
    hold,
    read_request,
    resetting,
    saying,
    timing,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.shell.scripted_http import Handler


def found(*addresses: str) -> Callable[[str, RecordType], Answer]:
    return lambda name, kind: Answer(name, kind, Outcome.OK, addresses, 5)


def request(
    server: ScriptedServer, protocol: Protocols = Protocols.HTTP, path: str = "/", timeout_seconds: float = 10.0
) -> Timed:
    target = Target("shop", protocol, server.port, path, timeout_seconds)
    return time_request(target, Edge(found("::1"), open_connection))


def test_a_request_is_answered_and_its_phases_add_up() -> None:
    with ScriptedServer(answering(headers=timing(1, 2))) as server:
        timed = request(server)
    assert timed.reply is not None
    assert (timed.reply.status, timed.reply.body_bytes) == (200, 3)
    assert timed.reply.header("x-machine-id") == "d890"
    assert timed.resolve_ms >= 0
    assert timed.until_first_byte_ms <= timed.total_ms


class Script:
    """A network on which time passes only where it is told to: a nameserver, an opener, a connection and the clock."""

    def __init__(self, resolve_ms: float, connect_ms: float, *pieces: tuple[float, bytes]) -> None:
        self.now_s = 1000.0
        self._resolve_ms, self._connect_ms, self._pieces = resolve_ms, connect_ms, list(pieces)
        self.edge = Edge(self.ask, self.connect, lambda: self.now_s)

    def pass_ms(self, time_ms: float) -> None:
        self.now_s += time_ms / 1000

    def ask(self, name: str, kind: RecordType) -> Answer:
        self.pass_ms(self._resolve_ms)
        return Answer(name, kind, Outcome.OK, ("::1",))

    def connect(self, _address: str, _port: int, timeout_seconds: float) -> socket.socket:
        if self._connect_ms > timeout_seconds * 1000:
            raise TimeoutError
        self.pass_ms(self._connect_ms)
        return ScriptedConnection(self)

    def next_piece(self, timeout_seconds: float) -> bytes:
        after_ms, piece = self._pieces.pop(0) if self._pieces else (0.0, b"")
        if after_ms > timeout_seconds * 1000:
            raise TimeoutError
        self.pass_ms(after_ms)
        return piece


class ScriptedConnection(socket.socket):
    """Receives what the script says, when it says so."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script
        self._timeout_seconds = 0.0

    def settimeout(self, value: float | None, /) -> None:
        assert value is not None, "no wait without a deadline"
        self._timeout_seconds = value

    def sendall(self, *_: object) -> None:
        pass

    def recv(self, _size: int, _flags: int = 0, /) -> bytes:
        return self._script.next_piece(self._timeout_seconds)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize("delays_ms", [(30, 20, 40, 5, 25), (0, 0, 0, 0, 0), (0, 100, 0, 7, 0), (1, 2, 3, 4, 5)])
def test_every_phase_is_exactly_as_long_as_it_was(delays_ms: tuple[int, ...]) -> None:
    resolve, connect, first, second, last = delays_ms
    script = Script(resolve, connect, (first, HEAD[:1]), (second, HEAD[1:] + b"a"), (last, b"b"))
    timed = time_request(Target("shop"), script.edge)
    measured_ms = (timed.resolve_ms, timed.connect_ms, timed.first_byte_ms, timed.until_first_byte_ms, timed.total_ms)
    assert measured_ms == pytest.approx((resolve, connect, first, resolve + connect + first, sum(delays_ms)))


def test_a_kept_request_is_timed_from_its_own_start() -> None:
    pieces = [(0, HEAD + b"ab"), (4, HEAD), (6, b"ab"), (1, HEAD + b"ab")]
    first, second = time_kept(Target("shop"), Script(30, 20, *pieces).edge, 2)
    assert (first.resolve_ms, first.connect_ms) == (0, 0)
    assert (first.first_byte_ms, first.total_ms) == pytest.approx((4, 10))
    assert (second.first_byte_ms, second.total_ms) == pytest.approx((1, 1))


@pytest.mark.parametrize(
    ("delays_ms", "phase"),
    [
        ((1001, 0, 0, 0), "connect"),
        ((0, 1001, 0, 0), "connect"),
        ((0, 0, 1001, 0), "first byte"),
        ((0, 0, 0, 1001), "body"),
        ((400, 400, 400, 0), "first byte"),
        ((300, 300, 300, 300), "body"),
    ],
)
def test_the_deadline_is_one_for_all_phases(delays_ms: tuple[int, ...], phase: str) -> None:
    resolve, connect, first, last = delays_ms
    script = Script(resolve, connect, (first, HEAD), (last, b"ab"))
    with pytest.raises(RequestError, match=rf"no answer in time \(in phase {phase}, after"):
        time_request(Target("shop", timeout_seconds=1.0), script.edge)


def test_every_kept_request_has_a_deadline_of_its_own() -> None:
    pieces = [(900, HEAD + b"ab"), (900, HEAD + b"ab"), (1100, HEAD + b"ab")]
    kept = time_kept(Target("shop", timeout_seconds=1.0), Script(0, 0, *pieces).edge, 2)
    assert next(kept).total_ms == pytest.approx(900)
    with pytest.raises(RequestError, match="no answer in time"):
        next(kept)


def test_a_message_of_the_caller_is_sent_and_the_beginning_of_the_answer_kept() -> None:
    got = []

    def handle(connection: socket.socket) -> None:
        got.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 6\r\n\r\nabcdef")

    with ScriptedServer(handle) as server:
        target = Target("shop", port=server.port, timeout_seconds=10.0)
        timed = time_request(target, Edge(found("::1"), open_connection), b"POST /x HTTP/1.1\r\n\r\n", 4)
    assert got == [b"POST /x HTTP/1.1\r\n\r\n"]
    assert timed.reply is not None
    assert (timed.reply.status, timed.reply.body, timed.reply.body_bytes) == (202, b"abcd", 6)


def test_raw_tcp_is_timed_to_its_first_byte() -> None:
    def banner(connection: socket.socket) -> None:
        hold(0.03)
        connection.sendall(b"hello\n")
        hold(0.2)

    with ScriptedServer(banner) as server:
        timed = request(server, protocol=Protocols.TCP)
    assert timed.reply is None
    assert timed.first_byte_ms >= 25
    assert timed.total_ms == pytest.approx(timed.until_first_byte_ms)
    assert timed.total_ms < 200, "the first byte ends it, not the end of the connection"


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (closing, "empty reply: the connection was accepted, then closed with nothing sent (in phase first byte"),
        (resetting, "connection reset by the other side (in phase first byte"),
        (saying(b"SSH-2.0-x\r\n"), "not an HTTP response: SSH-2.0-x (in phase body"),
        (
            saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
            "closed 6 bytes before the body's end (in phase body",
        ),
        (answering(before_seconds=0.4), "no answer in time (in phase first byte"),
    ],
)
def test_every_failure_is_told_apart_in_words(handler: Handler, words: str) -> None:
    with ScriptedServer(handler) as server, pytest.raises(RequestError) as caught:
        request(server, timeout_seconds=0.15 if "in time" in words else 10.0)
    assert words in str(caught.value)
    assert "[::1]: " in str(caught.value)


def test_a_raw_port_that_closes_with_nothing_sent_is_an_empty_reply() -> None:
    with ScriptedServer(lambda _: None) as server, pytest.raises(RequestError, match="empty reply"):
        request(server, protocol=Protocols.TCP)


def test_a_slow_drip_of_bytes_does_not_outlive_the_deadline() -> None:
    def drip(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            for _ in range(40):
                connection.sendall(b"x")
                hold(0.05)
        except OSError:
            return

    began = time.monotonic()
    with ScriptedServer(drip) as server:
        with pytest.raises(RequestError, match=r"no answer in time \(in phase body"):
            request(server, timeout_seconds=0.2)
        assert time.monotonic() - began < 1.5


def test_a_refused_connection_is_said_so() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(RequestError) as caught:
        time_request(Target("shop", port=port), Edge(found("::1"), open_connection))
    assert "connection refused: nothing listens on that port of the address" in str(caught.value)
    assert "(in phase connect, after " in str(caught.value)


def test_an_ipv4_mapped_address_is_dialled() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with open_connection("::ffff:127.0.0.1", port, 10.0) as connection:
            assert connection.getpeername()[1] == port


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.OK])
def test_a_name_without_an_address_says_what_the_nameserver_said(outcome: Outcome) -> None:
    edge = Edge(lambda name, kind: Answer(name, kind, outcome), open_connection)
    with pytest.raises(NotWellError) as caught:
        time_request(Target("shop"), edge)
    assert f"no address: {outcome}" in str(caught.value)
    advised = "fly ips allocate-v6 --private -a shop" in str(caught.value)
    assert advised is (outcome in {Outcome.NXDOMAIN, Outcome.NODATA})


def test_the_request_names_the_flycast_name_and_closes() -> None:
    heads = []

    def keep(connection: socket.socket) -> None:
        heads.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with ScriptedServer(keep) as server:
        request(server, path="/healthz?x=1")
        port = server.port
    assert heads[0].startswith(b"GET /healthz?x=1 HTTP/1.1\r\n")
    assert f"\r\nHost: shop.flycast:{port}\r\n".encode() in heads[0]
    assert b"\r\nConnection: close\r\n" in heads[0]


def test_a_target_is_written_as_a_url() -> None:
    assert str(Target("shop")) == "http://shop.flycast/"
    assert str(Target("shop", port=81, path="/x")) == "http://shop.flycast:81/x"
    assert str(Target("shop", Protocols.TCP, 1848)) == "tcp://shop.flycast:1848"
