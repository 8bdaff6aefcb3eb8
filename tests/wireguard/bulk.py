"""Carries many bytes over one TCP connection, and tells how long the longest silence was.

`bulk.py serve PORT` answers; `bulk.py take|give HOST PORT BYTES` asks for bytes, or sends them.  It prints a line when
the connection is there, and at the end the count that arrived and the longest silence in seconds.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

PIECE = 256 * 1024
PATIENCE_SECONDS = 150.0
TCP_RTO_MAX_MS = 44  # linux/tcp.h since 6.15: the longest that TCP waits before it sends again, 120 s unless told


def sends_again_soon(connection: socket.socket) -> bool:
    """Have TCP send again every second, so that a silence is the path's and not TCP's own; False on an older kernel.

    It gives up by time then; by their number, its tries would be over after some 12 s.
    """
    try:
        connection.setsockopt(socket.IPPROTO_TCP, TCP_RTO_MAX_MS, 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(PATIENCE_SECONDS * 1000))
    except OSError:
        return False
    return True


def serve(port: int) -> None:
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection: socket.socket) -> None:
    sends_again_soon(connection)
    with connection, connection.makefile("rb") as asked:
        what, count = asked.readline().split() or (b"none", b"0")
        if what == b"take":
            send(connection, int(count))
        elif what == b"give":
            left = int(count)
            while left and (piece := asked.read1(PIECE)):
                left -= len(piece)
            connection.sendall(b"%d\n" % (int(count) - left))


def send(connection: socket.socket, count: int) -> float:
    """Send so many bytes; return the longest time that one piece took."""
    longest, piece = 0.0, bytes(PIECE)
    while count:
        began = time.monotonic()
        connection.sendall(piece[:count])
        longest = max(longest, time.monotonic() - began)
        count -= min(count, PIECE)
    return longest


def carry(what: str, host: str, port: int, count: int) -> None:
    with socket.create_connection((host, port), PATIENCE_SECONDS) as connection:
        sends_again_soon(connection)
        print("connected", flush=True)
        connection.sendall(f"{what} {count}\n".encode())
        if what == "give":
            longest = send(connection, count)
            arrived = int(connection.makefile().readline())
        else:
            arrived, longest = take(connection)
    print(arrived, round(longest, 2))


def take(connection: socket.socket) -> tuple[int, float]:
    arrived, longest, before = 0, 0.0, time.monotonic()
    while piece := connection.recv(PIECE):
        arrived += len(piece)
        longest, before = max(longest, time.monotonic() - before), time.monotonic()
    return arrived, longest


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", port_given]:
            serve(int(port_given))
        case [verb, host_given, port_given, count_given]:
            carry(verb, host_given, int(port_given), int(count_given))
