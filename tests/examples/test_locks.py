from __future__ import annotations

import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.private_svc.process import PATIENCE_SECONDS, service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.private_svc.process import Running

    Say = Callable[..., str]


@contextmanager
def session(running: Running) -> Iterator[Say]:
    """Open a session; yield what says a line and returns the answer, and without a line waits for what comes."""
    address = ("127.0.0.1", running.port("hello"))
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection, connection.makefile("rw") as lines:

        def say(line: str = "") -> str:
            if line:
                lines.write(f"{line}\n")
                lines.flush()
            return lines.readline().strip()

        yield say


def test_a_lock_ends_with_the_session_of_its_holder() -> None:
    with service(RAW="tests.examples.locks:handle") as running:
        with session(running) as first, session(running) as second:
            assert first("PING") == "PONG"
            assert first("LOCK deploy") == "OK"
            assert second("LOCK deploy") == "HELD by 127.0.0.1"
            assert second("FREE deploy").startswith("WHAT: ")
        running.event("session ended", freed=1)
        with session(running) as third:
            assert third("LOCK deploy") == "OK"
            assert third("FREE deploy") == "OK"


def test_an_open_session_keeps_the_machine_awake_and_a_silent_one_ends(tmp_path: Path) -> None:
    impatient = "from tests.examples import locks\nlocks.IDLE_SECONDS = 2.5\nhandle = locks.handle\n"
    (tmp_path / "impatient.py").write_text(impatient)
    with service(RAW="impatient:handle", PYTHONPATH=str(tmp_path), IDLE_EXIT_SECONDS="1") as running:
        with session(running) as say:
            assert say("PING") == "PONG"
            assert say("") == "BYE: silent for too long"
        running.event("session ended")
        assert running.event("draining")["reason"].startswith("idle for ")
        assert running.ended() == 0


def test_a_machine_that_leaves_lets_each_session_say_goodbye() -> None:
    with service(RAW="tests.examples.locks:handle") as running, session(running) as say:
        assert say("LOCK deploy") == "OK"
        running.signal(signal.SIGTERM)
        assert say("") == "BYE"
        running.event("leaving", cut_hellos=0)
        assert running.ended() == 0
