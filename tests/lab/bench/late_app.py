"""An app that listens late, answers one request with the moment it began to listen, and leaves: `late_app.py PORT`.

The moment is on the monotonic clock, which every process of one kernel shares.
"""

import socket
import sys
import time

LATE_SECONDS = 0.25  # as long as a service takes to start, so that the proxy has begun to wait


def serve(port: int) -> None:
    """Listen, answer, leave; a connection without a request is no request."""
    time.sleep(LATE_SECONDS)
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    body = str(time.monotonic_ns()).encode()
    while True:
        connection, _ = listener.accept()
        with connection:
            if connection.recv(65536):
                listener.close()  # the next caller waits for the next process
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                )
                return


if __name__ == "__main__":
    serve(int(sys.argv[1]))
