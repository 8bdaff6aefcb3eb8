"""The life of the process: which ports it has, what ends it, and what still happens when it leaves."""

from __future__ import annotations

import signal
import socket
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from tests.private_svc.process import PATIENCE_SECONDS, Running, run, service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str], dict[str, str]]

APP = """
from aiohttp import web

def make():
    return web.Application()
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a module `mine`, and return the variables with which the service finds it."""

    def written(text: str) -> dict[str, str]:
        (tmp_path / "mine.py").write_text(dedent(text))
        return {"PYTHONPATH": str(tmp_path)}

    return written


def test_what_an_application_printed_and_its_atexit_functions_are_not_lost(write: Write) -> None:
    environ = write(
        APP + 'import atexit\nprint(\'{"event": "printed"}\')\natexit.register(print, \'{"event": "at exit"}\')\n'
    )
    with service(APP="mine:make", PYTHONUNBUFFERED="", **environ) as running:
        running.signal(signal.SIGTERM)
        running.event("at exit")
        assert running.ended() == 0
        assert running.errors() == ""
    assert [record["event"] for record in running.seen][-3:] == ["leaving", "printed", "at exit"]


@pytest.mark.parametrize("ending", ["threading.Event().wait()", "raise SystemExit(3)", "sys.stdout.close()"])
def test_an_atexit_function_that_hangs_or_fails_keeps_no_process_from_leaving(write: Write, ending: str) -> None:
    environ = write(f"{APP}\nimport atexit, sys, threading\n@atexit.register\ndef end():\n    {ending}\n")
    with service(APP="mine:make", **environ) as running:
        running.signal(signal.SIGTERM)
        running.event("leaving")
        assert running.ended() == 0


def test_an_idle_watch_that_fails_ends_the_process_with_status_1_and_a_traceback(write: Write) -> None:
    sabotage = """
        from private_svc.suspend import Suspender

        async def broken(*_):
            raise KeyError("a bug")

        Suspender.suspend_when_quiet = broken
    """
    environ = write(APP + dedent(sabotage))
    with service(APP="mine:make", IDLE_EXIT_SECONDS="1", IDLE_ACTION="suspend", **environ) as running:
        assert running.event("draining")["reason"] == "the idle watch failed"
        assert running.ended() == 1
        assert "KeyError: 'a bug'" in running.errors()


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ("", "mine:handle", "RAW: expected handle in mine, got a module without that name"),
        ("", "nowhere:handle", "RAW: there is no module nowhere"),
        ("handle = 7", "mine:handle", "RAW: expected a coroutine function, a protocol factory or Words in mine"),
        ("def handle(reader, writer, caller): ...", "mine:handle", "RAW: handle(caller) cannot be called: missing"),
        (
            "async def handle(reader, writer): ...",
            "mine:handle",
            "RAW: handle(reader, writer, caller) cannot be called",
        ),
        (
            "from private_svc.words import Words\nhandle = Words(b'x' * 4097)",
            "mine:handle",
            "RAW: cannot import mine: ValueError: expected at most 4096 bytes, got 4097",
        ),
        ("raise OSError('no route')", "mine:handle", "RAW: cannot import mine: OSError: no route"),
    ],
)
def test_a_raw_handler_that_cannot_be_used_is_status_2_and_says_why(
    write: Write, text: str, name: str, why: str
) -> None:
    done = run(RAW=name, PORT="0", HELLO_PORT="0", METRICS_PORT="off", **write(text))
    assert done.returncode == 2
    assert done.stderr.startswith(why), done.stderr


def test_words_of_your_own_are_a_raw_handler(write: Write) -> None:
    environ = write("from private_svc.words import Words\nbanner = Words(b'220 ready\\r\\n')\n")
    with (
        service(RAW="mine:banner", **environ) as running,
        socket.create_connection(("127.0.0.1", running.port("hello")), timeout=PATIENCE_SECONDS) as caller,
    ):
        caller.shutdown(socket.SHUT_WR)
        assert caller.recv(100) == b"220 ready\r\n"
        assert caller.recv(100) == b""


def test_a_signal_is_obeyed_while_the_module_of_the_raw_handler_is_imported(write: Write) -> None:
    environ = write('import threading\nprint(\'{"event": "importing"}\', flush=True)\nthreading.Event().wait()\n')
    with Running({"RAW": "mine:handle", "DRAIN_SECONDS": "0.1"} | environ) as running:
        running.event("importing")
        running.signal(signal.SIGTERM)
        running.event("leaving")
        assert running.ended() == 0


def test_a_port_of_0_is_any_free_port_and_off_is_none() -> None:
    with Running({"HELLO_PORT": "off", "METRICS_PORT": "off"}) as running:
        running.event("serving")
        assert [record["listener"] for record in running.seen if record["event"] == "listening"] == ["admin"]
        running.signal(signal.SIGTERM)
        running.event("leaving", cut_hellos=0)
        assert running.ended() == 0
    with Running({"METRICS_PORT": "0"}) as running:
        port = running.port("metrics")
        running.event("serving")
        with socket.create_connection(("::1", port), timeout=PATIENCE_SECONDS) as scraper:
            scraper.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert scraper.recv(12) == b"HTTP/1.1 200"
