"""Wake the late app and print how many ms after it began to listen its answer was here: `late_client.py NAME`."""

import socket
import sys
import time

DEADLINE_SECONDS = 20.0


def added_ms(name: str) -> float:
    """Ask once."""
    began_ns = time.monotonic_ns()
    answer = b""
    with socket.create_connection((name, 80), DEADLINE_SECONDS) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % name.encode())
        while chunk := connection.recv(4096):
            answer += chunk
    ended_ns = time.monotonic_ns()
    body = answer.rpartition(b"\r\n\r\n")[2]
    if not answer.startswith(b"HTTP/1.1 200") or not body.isdigit():
        raise ConnectionError(f"expected a moment, got {answer!r}")
    if int(body) < began_ns:
        raise ConnectionError("the app listened before it was asked: not cold")
    return (ended_ns - int(body)) / 1e6


if __name__ == "__main__":
    print(added_ms(sys.argv[1]))
