"""A Machine that the hostile one must not touch: it answers who asked, and counts what else reached it.

usage: victim.py PORT; the environment has ANSWER, and CHATTER, which it says to its nameserver all the time
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_CHATTER_SECONDS = 0.05
_STARTED = time.time()
_signals: list[int] = []
_datagrams: list[tuple[str, str]] = []


class Victim(BaseHTTPRequestHandler):
    """Says what it knows."""

    def do_GET(self) -> None:
        """Answer with the marker, and in the last line with JSON."""
        facts = {
            "peer": self.client_address[0], "client": self.headers["Fly-Client-IP"], "signals": len(_signals),
            "datagrams": _datagrams, "started": _STARTED,
        }  # fmt: skip
        body = f"{os.environ['ANSWER']}\n{json.dumps(facts)}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6


def _chat() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as chatting:
        while True:
            with contextlib.suppress(OSError):  # nobody listens
                chatting.sendto(os.environ["CHATTER"].encode(), ("fdaa::3", 9))
            time.sleep(_CHATTER_SECONDS)


def _take(datagrams: socket.socket) -> None:
    while True:
        data, source = datagrams.recvfrom(2048)
        _datagrams.append((source[0], data.decode(errors="replace")))


def main(port: int) -> None:
    """Serve until the Machine stops."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGURG, lambda number, _: _signals.append(number))
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    datagrams.bind(("::", port))
    server = _Server(("::", port), Victim)
    threading.Thread(target=_chat, daemon=True).start()
    threading.Thread(target=_take, args=(datagrams,), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
