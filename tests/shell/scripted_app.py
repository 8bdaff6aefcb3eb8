"""An app of some Machines on loopback: it sleeps when asked, a request wakes it, and it tells its process's age."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from shell.answers import Answer, Outcome, RecordType
from tests.shell.scripted_http import ScriptedServer, hold, read_request, timing

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

TOKEN = "s3cret-0123456789"  # noqa: S105 - opens nothing but this
_START_SECONDS = 0.03
_ASLEEP_SECONDS = 1.0  # how long it was suspended, as its process sees it; a stop ends the process


class ScriptedApp:
    """Runs no process: of each Machine it keeps when its process began, and which Machines are up."""

    def __init__(self, machine_ids: Sequence[str], up: Sequence[str], refuse_after: int = 1000) -> None:
        now_s = time.monotonic()
        self._began_s: dict[str, float | None] = dict.fromkeys(machine_ids, now_s - 1.0)
        self._up = list(up)
        self._lock = threading.Lock()
        self._refuse_after = refuse_after
        self._open = ExitStack()
        self.posts: list[str] = []

    def __enter__(self) -> Self:
        self._http = self._open.enter_context(ScriptedServer(self._answer))
        self._hello = self._open.enter_context(ScriptedServer(self._greet))
        self.port, self.hello_port = self._http.port, self._hello.port
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def ask(self, name: str, kind: RecordType) -> Answer:
        """Be the nameserver."""
        if kind is RecordType.AAAA:
            return Answer(name, kind, Outcome.OK, ("::1",), 5)
        with self._lock:
            listed = list(self._began_s) if name.startswith("all.") else list(self._up)
        text = ",".join(f"{machine_id} ams" for machine_id in listed)
        return Answer(name, kind, Outcome.OK if text else Outcome.NODATA, (text,) if text else ())

    def _answer(self, connection: socket.socket) -> None:
        request = read_request(connection).decode()
        machine_id = self._awake()
        if request.startswith("POST"):
            self._sleep(connection, request, machine_id)
            return
        age_ms = (time.monotonic() - (self._began_s[machine_id] or 0.0)) * 1000
        told = timing(1, age_ms, machine_id)
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n{told}\r\n".encode())

    def _greet(self, connection: socket.socket) -> None:
        self._awake()
        connection.sendall(b"hello\n")

    def _awake(self) -> str:
        """Return the Machine that answers, woken if none is up."""
        with self._lock:
            if not self._up:
                machine_id = min(self._began_s)
                if self._began_s[machine_id] is None:
                    hold(_START_SECONDS)
                    self._began_s[machine_id] = time.monotonic()
                self._up.append(machine_id)
            return self._up[0]

    def _sleep(self, connection: socket.socket, request: str, machine_id: str) -> None:
        while "}" not in request:
            request += connection.recv(1024).decode()
        self.posts.append(request)
        if len(self.posts) > self._refuse_after:
            connection.sendall(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n")
            return
        mode = json.loads(request.partition("\r\n\r\n")[2])["mode"]
        with self._lock:
            self._up.remove(machine_id)
            began_s = self._began_s[machine_id] or 0.0
            self._began_s[machine_id] = None if mode == "stop" else began_s - _ASLEEP_SECONDS
        body = json.dumps({"status": "going", "mode": mode, "machine_id": machine_id})
        connection.sendall(f"HTTP/1.1 202 Accepted\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
