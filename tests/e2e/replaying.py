"""An HTTP app that says where it runs and what it was told; outside ams it sends /write on to ams.

usage: replaying.py PORT
"""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Replaying(BaseHTTPRequestHandler):
    """Answers GET."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer, or send on."""
        told = f"in {os.environ['FLY_REGION']}, client in {self.headers['Fly-Region']}"
        body = f"{told}, from {self.headers.get('fly-replay-src', 'nobody')}\n".encode()
        self.send_response(200)
        if self.path == "/write" and os.environ["FLY_REGION"] != "ams":
            self.send_header("fly-replay", "region=ams;state=write")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Replaying).serve_forever()
