"""A tiny HTTP app that binds in exactly the way it is told; the Machine's program in the binding tests.

usage: bound.py ADDRESS PORT, where ADDRESS is an address, `fly-local-6pn`, `v6only` ([::] with V6ONLY) or
`nothing` (never listens).
"""

from __future__ import annotations

import signal
import socket
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


def bind(address: str, port: int) -> socket.socket:
    """Return the listening socket."""
    if address == "v6only":
        return socket.create_server(("::", port), family=socket.AF_INET6)
    if address == "::":
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    if address == "fly-local-6pn":
        resolved = socket.getaddrinfo(address, port, socket.AF_INET6, socket.SOCK_STREAM)[0][4]
        return socket.create_server(resolved[:2], family=socket.AF_INET6)
    return socket.create_server((address, port))


def main() -> None:
    """Serve until SIGINT."""
    address, port = sys.argv[1], int(sys.argv[2])
    if address == "nothing":
        signal.sigwait({signal.SIGTERM})
    with bind(address, port) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                connection.recv(65536)
                connection.sendall(ANSWER)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main()
