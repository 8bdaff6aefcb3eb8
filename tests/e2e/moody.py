"""A tiny HTTP app on [::] that does what its path says.

usage: moody.py PORT

/exit/N ends it, /eat/MB holds memory, /slow/S takes seconds, /sick and /well decide what /health answers,
/mark?FILE tells whether FILE is there and makes it, /peers tells who asked for /health.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path


class Mood:
    """What the paths have left behind."""

    well = True
    eaten = b""
    peers: frozenset[str] = frozenset()


def answer(path: str, peer: str) -> tuple[int, str]:
    """Do what `path` says; return status and text."""
    match path.split("/")[1:]:
        case ["exit", status]:
            os._exit(int(status))
        case ["eat", megabytes]:
            Mood.eaten = os.urandom(1 << 20) * int(megabytes)
        case ["slow", seconds]:
            time.sleep(float(seconds))
        case ["sick" | "well" as mood]:
            Mood.well = mood == "well"
        case ["health"]:
            Mood.peers |= {peer}
            return (200, "well") if Mood.well else (503, "sick")
        case ["peers"]:
            return 200, " ".join(sorted(Mood.peers))
        case ["mark?", *parts]:
            mark = Path("/", *parts)
            was_there = mark.exists()
            mark.write_text("mark")
            return 200, f"was there: {was_there}"
    return 200, "ok"


def serve(connection: socket.socket, peer: str) -> None:
    """Answer one request; a connection that is only tried is fine."""
    with connection:
        connection.settimeout(20)
        head = connection.recv(65536)
        if head:
            status, text = answer(head.split()[1].decode(), peer.removeprefix("::ffff:"))
            reply = f"HTTP/1.1 {status} So\r\nContent-Length: {len(text) + 1}\r\nConnection: close\r\n\r\n{text}\n"
            connection.sendall(reply.encode())


def main() -> None:
    """Serve until SIGINT."""
    with socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        while True:
            connection, (peer, *_) = listener.accept()
            threading.Thread(target=serve, args=(connection, peer), daemon=True).start()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    main()
