"""What a client wants of a fresh connection before it says that the server is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.row import BenchError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Until = Callable[[socket.socket], None]

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"


def accepted(_: socket.socket) -> None:
    """Ask no more than the connection."""


def greeted(connection: socket.socket) -> None:
    """Read the greeting."""
    if (said := _read(connection)) != b"hello\n":
        raise BenchError(f"expected hello, got {said!r}")


def answered(connection: socket.socket) -> None:
    """Ask, and read the first answer."""
    connection.sendall(REQUEST)
    if not (answer := _read(connection)).startswith(b"HTTP/1.1 200"):
        raise BenchError(f"expected 200, got {answer[:60]!r}")


def _read(connection: socket.socket) -> bytes:
    said = b""
    while chunk := connection.recv(4096):
        said += chunk
    return said
