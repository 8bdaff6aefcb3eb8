"""The real process under attack: what it answers, what it costs, and that somebody else is still answered.

Every attack runs beside a legitimate caller, who must get each answer within a second. The peak of the resident memory
(VmHWM) stays within 64 MiB of what an idle service needs, and afterwards as many files are open as before.
"""

from __future__ import annotations

import http.client
import json
import resource
import signal
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from private_svc.web.throttle import GUESSES, SECONDS_A_GUESS
from tests.private_svc.held_app import LARGE
from tests.private_svc.process import PATIENCE_SECONDS, service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.private_svc.process import Running

pytestmark = pytest.mark.long  # and one after the other: a second counts

TOKEN = "correct-horse-battery-staple"  # noqa: S105 - it opens nothing but this test
APP = "tests.private_svc.held_app:make"
ANSWER_SECONDS = 1.0
MEMORY_KIB = 64 * 1024
IDLE_CALLERS = 2000
AT_A_TIME = 100  # then one of ours asks: how quickly a queue can be filled is not what is tested
HELLO_CALLERS = 10_000
MALFORMED = [
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 65536 + b"\r\n\r\n",
    b"GET /" + b"x" * 65536 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
]
QUEUED = 1000  # callers at the same moment, who all find room in the kernel's queue
FILES_OF_OUR_OWN = 200
GUESSERS, GUESSES_EACH = 4, 500


@pytest.fixture(scope="module", autouse=True)
def _files_enough() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def at_once(wanted: int) -> int:
    """Return how many of so many connections this process may have open at a time."""
    return min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - FILES_OF_OUR_OWN)


def kib(running: Running, name: str) -> int:
    """Return a figure of /proc/PID/status in KiB."""
    status = Path(f"/proc/{running.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition(f"{name}:")[2].split()[0])


def open_files(running: Running) -> int:
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


def ask(running: Running, path: str = "/whoami", **headers: str) -> int:
    """Return the status of an answer, all of which was read."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port("admin"), timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


class Legitimate:
    """Somebody who asks again and again, and notes how long each answer took."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.seconds: list[float] = []
        self.failures: list[object] = []

    def _ask(self) -> None:
        while not self._enough.is_set():
            began_s = time.monotonic()
            try:
                status = ask(self._running)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(error)
                return
            self.seconds.append(time.monotonic() - began_s)
            if status != 200:
                self.failures.append(status)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join(PATIENCE_SECONDS)


@contextmanager
def under_attack(**settings: str) -> Iterator[Running]:
    """Run a service for an attack, and see that it bears it."""
    with service(**settings) as running:
        assert ask(running) == 200
        idle_kib, files = kib(running, "VmRSS"), open_files(running)
        legitimate = Legitimate(running)
        with legitimate:
            yield running
        assert legitimate.failures == []
        assert max(legitimate.seconds) < ANSWER_SECONDS
        assert kib(running, "VmHWM") - idle_kib < MEMORY_KIB
        until_s = time.monotonic() + PATIENCE_SECONDS
        while open_files(running) > files:
            assert time.monotonic() < until_s, f"{open_files(running)} files are open, {files} were"
            assert ask(running) == 200


def call(running: Running, listener: str, sent: bytes = b"", source: str = "") -> socket.socket:
    address = ("127.0.0.1", running.port(listener))
    caller = socket.create_connection(address, PATIENCE_SECONDS, (source, 0) if source else None)
    with suppress(ConnectionError):  # it may have been disconnected already
        caller.sendall(sent)
    return caller


def everything(caller: socket.socket) -> bytes:
    """Read to the end, which may be a reset."""
    received = b""
    with suppress(ConnectionError):
        while chunk := caller.recv(65536):
            received += chunk
    return received


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Half: ", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"]
)
def test_two_thousand_idle_connections_keep_nobody_out(sent: bytes) -> None:
    with under_attack() as running, ExitStack() as callers:
        for number in range(at_once(IDLE_CALLERS)):
            caller = callers.enter_context(call(running, "admin", sent))
            if sent.endswith(b"\r\n\r\n"):
                assert caller.recv(65536)
            if number % AT_A_TIME == 0:
                assert ask(running) == 200
        assert ask(running) == 200


def test_ten_thousand_hello_clients_that_never_read_are_all_greeted() -> None:
    greeted = 0
    with under_attack() as running:
        while greeted < HELLO_CALLERS:
            with ExitStack() as callers:
                for _ in range(at_once(HELLO_CALLERS - greeted) // QUEUED):
                    batch = [callers.enter_context(call(running, "hello")) for _ in range(QUEUED)]
                    for caller in batch:
                        assert caller.recv(10, socket.MSG_PEEK) == b"hello\n"
                    greeted += QUEUED


def test_malformed_requests_are_answered_and_closed_by_the_hundred() -> None:
    with under_attack() as running:
        for sent in MALFORMED * 100:
            with call(running, "admin", sent) as caller:
                assert everything(caller).startswith(b"HTTP/1."), sent


def test_callers_that_announce_a_body_and_send_none_keep_nobody_out() -> None:
    sent = [
        b"POST /app/read HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx",
        b"POST /api/sleep HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\nx",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx",
    ]
    with under_attack(APP=APP) as running, ExitStack() as callers:
        for number in range(900):
            callers.enter_context(call(running, "admin", sent[number % len(sent)]))
            if number % AT_A_TIME == 0:
                assert ask(running) == 200
        assert ask(running) == 200


def test_callers_that_ask_for_everything_at_once_and_read_nothing_keep_nobody_out() -> None:
    pipelined = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 5000
    with under_attack() as running, ExitStack() as callers:
        for _ in range(100):
            caller = callers.enter_context(socket.socket())
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.connect(("127.0.0.1", running.port("admin")))
            caller.setblocking(False)
            with suppress(BlockingIOError, ConnectionError):
                caller.send(pipelined)
        assert ask(running) == 200


def test_wrong_tokens_by_the_thousand_are_throttled_and_the_owner_is_not() -> None:
    wrong = b"POST /api/sleep HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\nContent-Length: 0\r\n\r\n"
    statuses: list[bytes] = []

    def guess(running: Running) -> None:
        with call(running, "admin", source="127.0.0.2") as caller:
            answers = caller.makefile("rb")
            for _ in range(GUESSES_EACH):
                caller.sendall(wrong)
                head = b"".join(iter(answers.readline, b"\r\n"))
                statuses.append(head.split()[1])
                answers.readline()

    with under_attack(ADMIN_TOKEN=TOKEN) as running:
        guessers = [threading.Thread(target=guess, args=(running,)) for _ in range(GUESSERS)]
        began_s = time.monotonic()
        for guesser in guessers:
            guesser.start()
        connection = http.client.HTTPConnection("127.0.0.1", running.port("admin"), timeout=PATIENCE_SECONDS)
        body = json.dumps({"mode": "suspend"})
        connection.request("POST", "/api/sleep", body, {"Authorization": f"Bearer {TOKEN}"})
        owner = connection.getresponse()
        owner.read()
        connection.close()
        for guesser in guessers:
            guesser.join(PATIENCE_SECONDS)
        lasted_s = time.monotonic() - began_s
        print(f"{len(statuses) / lasted_s:.0f} wrong tokens a second")
    assert owner.status == 501, "the token was right; there is no /.fly/api here"
    assert len(statuses) == GUESSERS * GUESSES_EACH
    allowed = GUESSES + int(lasted_s / SECONDS_A_GUESS)
    assert GUESSES <= statuses.count(b"401") <= allowed, f"in {lasted_s:.1f} s"
    assert statuses.count(b"429") == len(statuses) - statuses.count(b"401")


def test_out_of_files_it_waits_says_so_once_and_nobody_who_is_connected_is_lost() -> None:
    asked = b"GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n"
    with service() as running, ExitStack() as callers:
        assert ask(running) == 200
        enough = open_files(running) + 20
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (enough, enough))
        here = [callers.enter_context(call(running, "admin")) for _ in range(60)]
        said = running.event("cannot accept")
        assert said["reason"] == "Too many open files"
        for caller in here[:15]:
            caller.sendall(asked % b"keep-alive")
            assert caller.recv(65536).startswith(b"HTTP/1.1 200 "), "who is connected is answered all the while"
        for caller in here:
            caller.sendall(asked % b"close")
            assert everything(caller).startswith(b"HTTP/1.1 200 "), "who had to wait is answered later"
            caller.close()
        running.signal(signal.SIGTERM)
        running.event("leaving", cut_connections=0)
        assert running.ended() == 0
    assert [record["event"] for record in running.seen].count("cannot accept") == 1


def test_a_stop_during_fifty_requests_and_fifty_hellos_cuts_none_of_them() -> None:
    with service(APP=APP) as running, ExitStack() as callers:
        release = callers.enter_context(
            call(running, "admin", b"POST /app/release HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        )
        asked = b"GET /app/held HTTP/1.1\r\nHost: x\r\n\r\n"
        held = [callers.enter_context(call(running, "admin", asked)) for _ in range(50)]
        large = b"GET /app/large HTTP/1.1\r\nHost: x\r\n\r\n"
        reading = callers.enter_context(call(running, "admin", large))
        greeted = [callers.enter_context(call(running, "hello", b"are you there?\n")) for _ in range(50)]
        first_part = reading.recv(1000)
        running.signal(signal.SIGTERM)
        running.event("draining")
        release.sendall(b"x")
        for caller in held:
            assert complete(caller) == b"done\n"
        for caller in greeted:
            assert whole(caller) == b"hello\n"
        assert len(first_part + whole(reading)) > LARGE
        running.event("leaving", level="info", cut_connections=0, cut_hellos=0)
        assert running.ended() == 0


def test_a_stop_cuts_what_outlives_the_drain_and_says_how_many() -> None:
    with service(APP=APP, DRAIN_SECONDS="0.3") as running, ExitStack() as callers:
        asked = b"GET /app/held HTTP/1.1\r\nHost: x\r\n\r\n"
        held = [callers.enter_context(call(running, "admin", asked)) for _ in range(3)]
        greeted = callers.enter_context(call(running, "hello"))
        assert greeted.recv(100) == b"hello\n"
        assert ask(running) == 200
        running.signal(signal.SIGTERM)
        running.event("leaving", level="warning", cut_connections=3, cut_hellos=0)
        assert running.ended() == 0
        assert [everything(caller) for caller in held] == [b""] * 3


def whole(caller: socket.socket) -> bytes:
    """Read to the end; a reset is an error."""
    parts = []
    while chunk := caller.recv(1 << 20):
        parts.append(chunk)
    return b"".join(parts)


def complete(caller: socket.socket) -> bytes:
    """Return the body of an answer that says it is the last one, and see that the connection ends cleanly."""
    response = http.client.HTTPResponse(caller)
    response.begin()
    assert (response.status, response.getheader("Connection")) == (200, "close")
    body = response.read()
    assert caller.recv(1) == b""
    return body
