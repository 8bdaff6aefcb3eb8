from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from shell.answers import Answer, Outcome, RecordType
from shell.errors import NotWellError
from shell.phases import Edge, Protocols, RequestError, Target, Timed, open_connection, time_request
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


def test_phase_times_are_within_two_milliseconds_of_the_truth() -> None:
    """The best of some tries counts: a busy machine can only make a measurement worse."""
    errors = [worst_error_ms() for _ in range(6)]
    assert min(errors) <= 2.0, f"worst error of a phase, try by try, in ms: {errors}"


def worst_error_ms() -> float:
    moments: dict[str, float] = {}

    def mark(name: str) -> None:
        moments[name] = time.monotonic()

    def slow_answer(name: str, kind: RecordType) -> Answer:
        mark("began")
        hold(0.03)
        mark("resolved")
        return Answer(name, kind, Outcome.OK, ("::1",))

    def slow_connect(address: str, port: int, timeout_seconds: float) -> socket.socket:
        hold(0.02)
        connection = open_connection(address, port, timeout_seconds)
        mark("connected")
        return connection

    def handler(connection: socket.socket) -> None:
        read_request(connection)
        hold(0.04)
        mark("first byte")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        hold(0.03)
        mark("last byte")
        connection.sendall(b"b")
        hold(0.02)

    with ScriptedServer(handler) as server:
        timed = time_request(Target("shop", port=server.port), Edge(slow_answer, slow_connect))
    truth = {
        "resolve": (moments["resolved"] - moments["began"], timed.resolve_ms),
        "connect": (moments["connected"] - moments["resolved"], timed.connect_ms),
        "first byte": (moments["first byte"] - moments["connected"], timed.first_byte_ms),
        "total": (moments["last byte"] - moments["began"], timed.total_ms),
    }
    return max(abs(true_seconds * 1000 - measured_ms) for true_seconds, measured_ms in truth.values())


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
