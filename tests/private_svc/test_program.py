"""The program as it is started on a Machine: options, settings, ports, signals."""

from __future__ import annotations

import errno
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from private_svc import __version__
from tests.private_svc.process import PATIENCE_SECONDS, Running, run, service

if TYPE_CHECKING:
    from pathlib import Path

HOLDING_APP = """
import time

def make():
    print('{"event": "holding"}', flush=True)
    while True:
        time.sleep(0.01)
"""
STUCK_AIOHTTP = 'import threading\nprint(\'{"event": "importing"}\', flush=True)\nthreading.Event().wait(600)\n'


def test_help_shows_the_settings_and_version_the_version() -> None:
    assert "PLATFORM_NETWORKS" in run("--help").stdout
    assert run("--version").stdout == f"private-svc {__version__}\n"


def test_an_unknown_option_is_one_line_and_status_2() -> None:
    result = run("--port=80")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "'--port=80'" in result.stderr


def test_more_than_one_option_is_none_that_is_known() -> None:
    result = run("--version", "--nope")
    assert (result.returncode, result.stdout) == (2, "")
    assert "'--version --nope'" in result.stderr


def test_help_into_a_pipe_that_nobody_reads_ends_quietly() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "wb") as unread:
        command = [sys.executable, "-m", "private_svc", "--help"]
        done = subprocess.run(command, stdout=unread, stderr=subprocess.PIPE, timeout=PATIENCE_SECONDS, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_bad_settings_are_one_line_each_and_status_2() -> None:
    result = run(PORT="web", DRAIN_SECONDS="soon")
    assert result.returncode == 2
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["PORT", "DRAIN_SECONDS"]


def test_a_port_in_use_is_one_line_and_status_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run(PORT="0", HELLO_PORT=str(port))
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"HELLO_PORT: cannot listen on port {port}: ")
    assert f"(pid {os.getpid()})" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_metrics_port_in_use_greets_nobody_either() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        result = run(PORT="0", HELLO_PORT="0", METRICS_PORT=str(port))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"METRICS_PORT: cannot listen on port {port}: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_status_0(number: signal.Signals) -> None:
    with service() as running:
        running.signal(number)
        assert running.event("draining")["reason"] == number.name
        running.event("leaving", cut_connections=0, cut_hellos=0)
        assert running.ended() == 0
        assert running.errors() == ""


def test_a_signal_between_exec_and_serving_is_obeyed_and_queued_callers_are_greeted(tmp_path: Path) -> None:
    (tmp_path / "aiohttp").mkdir()
    (tmp_path / "aiohttp" / "__init__.py").write_text(STUCK_AIOHTTP)
    with Running({"PYTHONPATH": str(tmp_path), "DRAIN_SECONDS": "0.1"}) as running:
        port = running.port("hello")
        running.event("importing")
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as caller:
            assert caller.recv(100) == b"hello\n"
        running.signal(signal.SIGTERM)
        running.event("leaving")
        assert running.ended() == 0
        assert running.errors() == ""


def test_a_caller_who_is_queued_when_a_signal_comes_during_the_import_is_answered() -> None:
    with Running({}) as running:
        port = running.port("admin")
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as caller:
            caller.sendall(b"GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n")
            running.signal(signal.SIGTERM)
            response = http.client.HTTPResponse(caller)
            response.begin()
            assert (response.status, response.getheader("Connection")) == (200, "close")
            response.read()
        running.event("leaving", cut_connections=0)
        assert running.ended() == 0


def test_a_signal_before_the_loop_runs_waits_until_callers_are_drained() -> None:
    with Running({}) as running:
        port = running.port("hello")
        running.signal(signal.SIGINT)
        with socket.socket() as caller:
            caller.settimeout(PATIENCE_SECONDS)
            answered = caller.connect_ex(("127.0.0.1", port)) == 0 and caller.recv(100) == b"hello\n"
        running.event("leaving")
        assert running.ended() == 0, f"answered: {answered}"
        assert running.errors() == ""


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_exits_at_once(second: signal.Signals) -> None:
    with (
        service(DRAIN_SECONDS="300") as running,
        socket.create_connection(("127.0.0.1", running.port("admin")), timeout=PATIENCE_SECONDS) as stuck,
    ):
        stuck.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")  # it will never send the body
        assert stuck.recv(100).startswith(b"HTTP/1.1 405")
        with socket.create_connection(("127.0.0.1", running.port("hello"))):
            running.signal(signal.SIGTERM)
            running.event("draining")
            running.signal(second)
            assert running.ended() == 128 + second


def test_a_second_signal_exits_at_once_even_while_an_application_holds_the_loop(tmp_path: Path) -> None:
    (tmp_path / "holding.py").write_text(HOLDING_APP)
    with Running({"APP": "holding:make", "PYTHONPATH": str(tmp_path), "DRAIN_SECONDS": "300"}) as running:
        running.event("holding")
        running.signal(signal.SIGTERM)
        running.signal(signal.SIGINT)
        assert running.ended() in {128 + signal.SIGTERM, 128 + signal.SIGINT}


def test_a_drain_under_load_drops_nobody_that_was_accepted() -> None:
    """Every connection that the kernel accepted gets its whole answer; after the drain, connecting fails."""
    dropped: list[object] = []
    answered = [0]
    ready = threading.Barrier(9)

    def call(port: int) -> None:
        first = True
        while True:
            caller = socket.socket()
            caller.settimeout(PATIENCE_SECONDS)
            if caller.connect_ex(("127.0.0.1", port)) != 0:
                caller.close()
                return
            try:
                caller.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                response = http.client.HTTPResponse(caller)
                response.begin()
                response.read()
                answered[0] += 1
            except (OSError, http.client.HTTPException) as error:
                dropped.append(error)
            finally:
                caller.close()
            if first:
                first = False
                ready.wait(PATIENCE_SECONDS)

    with service() as running:
        callers = [threading.Thread(target=call, args=(running.port("admin"),)) for _ in range(8)]
        for caller in callers:
            caller.start()
        ready.wait(PATIENCE_SECONDS)
        running.signal(signal.SIGTERM)
        for caller in callers:
            caller.join(PATIENCE_SECONDS)
        running.event("leaving", cut_connections=0)
        assert running.ended() == 0
    assert dropped == []
    assert answered[0] >= 8


def test_a_caller_on_the_free_port_is_never_greeted_when_the_other_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket(socket.AF_INET6) as reserved:
        reserved.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("::", 0))
        port = reserved.getsockname()[1]
        outcomes = set()
        with Running({"PORT": str(port), "HELLO_PORT": str(other.getsockname()[1])}) as running:
            while running.process.poll() is None:
                with socket.socket() as caller:
                    outcomes.add(caller.connect_ex(("127.0.0.1", port)))
            assert running.ended() == 1
    assert outcomes == {errno.ECONNREFUSED}
