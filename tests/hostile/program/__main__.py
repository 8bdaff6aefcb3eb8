"""The hostile app.

usage: python -m program TARGETS.json    make every attempt; print a line of JSON for each
       python -m program --serve PORT    do so when asked: POST /attempts
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import staying
from .attempts import make
from .table import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator


def lines(targets: dict[str, Any]) -> Iterator[str]:
    """Make every attempt that is asked for; return what came of each as a line of JSON."""
    for attempt in TABLE:
        if attempt.name in targets.get("only", [attempt.name]):
            yield json.dumps({"name": attempt.name, **make(attempt, targets)}) + "\n"


class Hostile(BaseHTTPRequestHandler):
    """Does what the test asks for."""

    clocks: staying.Clocks

    def do_POST(self) -> None:
        """Answer with lines of JSON, each as soon as there is one."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked: dict[str, Any] = json.loads(body or b"{}")
        self.send_response(200)
        self.end_headers()
        for line in self._answer(asked):
            self.wfile.write(line.encode())

    def _answer(self, asked: dict[str, Any]) -> Iterator[str]:
        if self.path == "/attempts":
            yield from lines(asked)
        elif self.path == "/watch":
            here = staying.everybody()
            yield "watching\n"
            yield json.dumps(staying.rob_newcomers(here, asked["markers"], asked["seconds"]))
        elif self.path == "/stay":
            staying.leave_a_daemon(asked["daemon"])
            Hostile.clocks = staying.Clocks()
            staying.leave_files(asked["files"])
            yield "done"
        elif self.path == "/gaps":
            yield json.dumps(Hostile.clocks.gaps())
        elif self.path == "/left":
            yield json.dumps(staying.left_files(asked["files"]))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(HTTPServer):
    address_family = socket.AF_INET6


def main(arguments: list[str]) -> int:
    """Do what the command line says."""
    signal.signal(signal.SIGURG, signal.SIG_IGN)  # it is sent to everybody
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if arguments[:1] == ["--serve"]:
        _Server(("::", int(arguments[1])), Hostile).serve_forever()
    for line in lines(json.loads(Path(arguments[0]).read_text(encoding="utf-8"))):
        os.write(1, line.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
