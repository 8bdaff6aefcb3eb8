"""A tiny HTTP app on [::] that answers with how many requests this process has answered, so its memory shows.

usage: counting.py PORT
"""

from __future__ import annotations

import signal
import socket
import sys

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


def main() -> None:
    """Serve until SIGINT."""
    count = 0
    with socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                if connection.recv(65536):  # else it was only tried
                    count += 1
                    connection.sendall(HEAD + b"%d\n" % count)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main()
