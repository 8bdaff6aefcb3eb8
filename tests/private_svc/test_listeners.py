from __future__ import annotations

import _socket
import errno
import os
import socket

import pytest

from private_svc import listeners


def port_of(listener: listeners.Listener) -> int:
    return int(listener.socket.getsockname()[1])


def test_one_socket_takes_callers_of_both_families() -> None:
    listener = listeners.bind("admin", "PORT", 0)
    listeners.listen(listener)
    port = port_of(listener)
    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, port), timeout=5).close()
    assert listener.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0
    assert listener.address == f"[::]:{port}"
    assert listener.reach == "Flycast and 6PN"
    listener.socket.close()


@pytest.mark.parametrize("reason", listeners.NO_IPV6, ids=errno.errorcode.get)
def test_without_ipv6_it_listens_on_ipv4_and_says_so(reason: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_ipv6(family: int, kind: int, protocol: int) -> _socket.socket:
        if family == socket.AF_INET6:
            raise OSError(reason, os.strerror(reason))
        return _socket.socket(family, kind, protocol)

    monkeypatch.setattr(listeners, "socket", no_ipv6)
    listener = listeners.bind("admin", "PORT", 0)
    listeners.listen(listener)
    socket.create_connection(("127.0.0.1", port_of(listener)), timeout=5).close()
    assert listener.address.startswith("0.0.0.0:")
    assert "no IPv6" in listener.reach
    listener.socket.close()


def test_a_socket_off_the_proxy_takes_no_caller_over_ipv4() -> None:
    listener = listeners.bind("metrics", "METRICS_PORT", 0, off_proxy=True)
    listeners.listen(listener)
    socket.create_connection(("::1", port_of(listener)), timeout=5).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(listener)), timeout=5)
    assert listener.reach == "6PN and ::1"
    listener.socket.close()


@pytest.mark.parametrize("reason", listeners.NO_IPV6, ids=errno.errorcode.get)
def test_without_ipv6_a_socket_off_the_proxy_is_for_this_machine_alone(
    reason: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_ipv6(family: int, kind: int, protocol: int) -> _socket.socket:
        if family == socket.AF_INET6:
            raise OSError(reason, os.strerror(reason))
        return _socket.socket(family, kind, protocol)

    monkeypatch.setattr(listeners, "socket", no_ipv6)
    listener = listeners.bind("metrics", "METRICS_PORT", 0, off_proxy=True)
    assert listener.address.startswith("127.0.0.1:")
    assert "no IPv6" in listener.reach
    listener.socket.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_in_use_names_the_port_the_process_and_the_remedy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[_socket.socket] = []

    def noting(family: int, kind: int, protocol: int) -> _socket.socket:
        opened.append(_socket.socket(family, kind, protocol))
        return opened[-1]

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(listeners, "socket", noting)
        with pytest.raises(listeners.BindError) as caught:
            listeners.bind("admin", "PORT", port)
    message = str(caught.value)
    assert f"PORT: cannot listen on port {port}" in message
    assert f"(pid {os.getpid()})" in message
    assert "set PORT to a free port" in message
    assert [each.fileno() for each in opened] == [-1], "nothing half-bound is left"


def test_a_port_nobody_listens_on_has_no_holder() -> None:
    with socket.socket() as unbound:
        unbound.bind(("127.0.0.1", 0))
        assert listeners.holder_of(unbound.getsockname()[1]) is None


def test_until_every_port_is_bound_callers_are_refused_rather_than_reset_later() -> None:
    listener = listeners.bind("admin", "PORT", 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(listener)), timeout=5)
    listener.socket.close()


def test_when_one_cannot_listen_none_does() -> None:
    rival = _socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    rival.bind(("::", 0))
    first = listeners.bind("admin", "PORT", 0)
    second = listeners.bind("hello", "HELLO_PORT", rival.getsockname()[1])  # two may bind while neither listens
    ports = port_of(first), port_of(second)
    rival.listen()
    with pytest.raises(listeners.BindError, match=f"HELLO_PORT: cannot listen on port {ports[1]}"):
        listeners.listen(first, second)
    rival.close()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_kernel_asks_a_silent_peer_of_an_accepted_connection_within_a_minute_whether_it_is_there(host: str) -> None:
    listener = listeners.bind("admin", "PORT", 0)
    listeners.listen(listener)
    with socket.socket(fileno=listener.socket.detach()) as listening:
        with socket.create_connection((host, listening.getsockname()[1]), timeout=5):
            accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            idle, every, count = (
                accepted.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )
            assert idle + every * count <= 60


def test_any_free_port_is_not_shared_with_a_process_that_is_about_to_listen_there() -> None:
    listener = listeners.bind("admin", "PORT", 0)
    with socket.socket(socket.AF_INET6) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="Address already in use"):
            other.bind(("::", port_of(listener)))
    listener.socket.close()
