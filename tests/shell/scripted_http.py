"""A TCP server on loopback that handles each connection as a test tells it to."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[socket.socket], None]

NEVER = threading.Event()


def hold(seconds: float) -> None:
    """Wait a known time."""
    NEVER.wait(seconds)


def answering(
    body: bytes = b"ok\n",
    *,
    status: str = "200 OK",
    headers: str = "",
    before_seconds: float = 0.0,
    body_seconds: float = 0.0,
) -> Handler:
    """Answer one request, with known delays before the head and before the body."""

    def handle(connection: socket.socket) -> None:
        read_request(connection)
        hold(before_seconds)
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
        connection.sendall(head.encode("latin-1"))
        hold(body_seconds)
        connection.sendall(body)

    return handle


def keeping(headers: str = "", *, at_most: int = 1000) -> Handler:
    """Answer every request of a connection; close it after some."""

    def handle(connection: socket.socket) -> None:
        for n in range(1, at_most + 1):
            if not read_request(connection):
                return
            last = "Connection: close\r\n" if n == at_most else ""
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n{last}{headers}\r\nok\n".encode("latin-1"))

    return handle


def saying(raw: bytes) -> Handler:
    """Answer with these bytes, whatever they are."""

    def handle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(raw)

    return handle


def timing(boot_ms: float, age_ms: float, machine_id: str = "d890", resumed_ms: float | None = None) -> str:
    """Return the headers with which an app tells of its own process."""
    resumed = "" if resumed_ms is None else f", resumed;dur={resumed_ms}"
    return f"Server-Timing: boot;dur={boot_ms}, age;dur={age_ms}{resumed}\r\nX-Machine-Id: {machine_id}\r\n"


def resetting(connection: socket.socket) -> None:
    """Answer with a reset."""
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closing(connection: socket.socket) -> None:
    """Close with nothing sent."""
    read_request(connection)


def read_request(connection: socket.socket) -> bytes:
    """Read up to the end of a request's head."""
    content = b""
    while b"\r\n\r\n" not in content:
        piece = connection.recv(65536)
        if not piece:
            break
        content += piece
    return content


class ScriptedServer:
    """Hands each connection to the next of its handlers; the last one serves all that follow."""

    def __init__(self, *handlers: Handler) -> None:
        self._handlers = list(handlers)
        self._listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
        self.port: int = self._listener.getsockname()[1]
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="scripted-server")
        self.accepted_at: list[float] = []
        self.failures: list[Exception] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.close()
        self._thread.join(20)
        self._listener.close()
        self._stopped.close()
        assert not self.failures, self.failures

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._stopped, selectors.EVENT_READ)
            while self._stopped not in {key.fileobj for key, _ in selector.select()}:
                connection, _ = self._listener.accept()
                self.accepted_at.append(time.monotonic())
                handler = self._handlers.pop(0) if len(self._handlers) > 1 else self._handlers[0]
                with connection:
                    connection.settimeout(10)
                    try:
                        handler(connection)
                    except (BrokenPipeError, ConnectionResetError):
                        continue  # the client had seen enough
                    except Exception as error:  # noqa: BLE001 - told when the test ends
                        self.failures.append(error)
