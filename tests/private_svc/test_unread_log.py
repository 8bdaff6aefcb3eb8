"""A log that nobody reads: lines are lost and counted, and nothing waits."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from private_svc import logs
from private_svc.line_writer import LineWriter
from tests.bench.programs import connected, reserved_port
from tests.private_svc.process import PATIENCE_SECONDS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PIPE_BYTES = 65536
REQUEST = b"GET /whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
REQUESTS = 600  # a line each, of more than 110 bytes: more than a pipe holds


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


def everything(fd: int) -> bytes:
    read = b""
    while select.select([fd], [], [], 0)[0]:
        read += os.read(fd, PIPE_BYTES)
    return read


def test_a_line_is_written_whole() -> None:
    with pipe() as (ours, theirs):
        assert LineWriter(theirs).write("caf\N{LATIN SMALL LETTER E WITH ACUTE} \ud800")
        assert everything(ours) == b"caf\xc3\xa9 \\ud800\n"


@pytest.mark.parametrize("length", [100, 5000, 40_000, 100_000])
def test_what_finds_no_room_is_lost_and_counted_and_the_next_line_begins_anew(length: int) -> None:
    with pipe() as (ours, theirs):
        lines = LineWriter(theirs)
        written = 0
        while lines.write("x" * length):
            written += 1
        assert not lines.write("y" * length)
        assert lines.lost == 2
        before = everything(ours)
        assert lines.write("again")
        after = before + everything(ours)
    *whole, again, end = after.split(b"\n")
    assert (again, end) == (b"again", b"")
    assert whole[:written] == [b"x" * length] * written


def test_lines_that_are_written_together_are_as_many_lines() -> None:
    with pipe() as (ours, theirs):
        assert LineWriter(theirs).write(*map(str, range(5000)))
        assert everything(ours).split() == [b"%d" % number for number in range(5000)]


def test_of_lines_that_are_written_together_those_that_find_no_room_are_counted() -> None:
    with pipe() as (ours, theirs):
        lines = LineWriter(theirs)
        assert not lines.write(*["x" * 99] * 1000)
        read = everything(ours)
        assert lines.lost == 1000 - read.count(b"\n")


@pytest.mark.parametrize("errors_out", ["/dev/full", "a reader that has gone"])
def test_a_file_that_takes_nothing_is_no_error(errors_out: str) -> None:
    if errors_out == "/dev/full":
        fd = os.open(errors_out, os.O_WRONLY)
    else:
        reader, fd = os.pipe()
        os.close(reader)
    try:
        assert not LineWriter(fd).write("a line")
    finally:
        os.close(fd)


def test_the_first_line_after_some_were_lost_is_preceded_by_their_number() -> None:
    with pipe() as (ours, theirs):
        lines = LineWriter(theirs)
        handler = logs.Handler(lines)
        handler.setFormatter(logs.JsonFormatter())
        record = logging.makeLogRecord({"msg": "x" * 1000, "levelname": "INFO"})
        while not lines.lost:
            handler.emit(record)
        handler.emit(record)
        everything(ours)
        handler.emit(record)
        told, line = map(json.loads, everything(ours).splitlines()[-2:])
    assert (told["event"], told["level"], told["lines"]) == ("log lines lost", "warning", 2)
    assert line["event"] == "x" * 1000


def is_well(caller: socket.socket) -> bool:
    caller.sendall(REQUEST)
    return caller.recv(100).startswith(b"HTTP/1.1 200 ")


def left_when_told(service: subprocess.Popen[bytes]) -> int:
    service.send_signal(signal.SIGTERM)
    return service.wait(PATIENCE_SECONDS)


def test_neither_an_answer_nor_the_end_waits_for_who_reads_the_log() -> None:
    environ = {"PORT": "0", "HELLO_PORT": "0", "METRICS_PORT": "off", "LOG_FORMAT": "json"}
    with pipe() as (ours, theirs):
        command = [sys.executable, "-m", "private_svc"]
        with subprocess.Popen(command, cwd=ROOT, env=os.environ | environ, stdout=theirs) as service:
            try:
                said = b""
                while b'"serving"' not in said:
                    said += os.read(ours, PIPE_BYTES)
                (listening,) = (line for line in map(json.loads, said.splitlines()) if line.get("listener") == "admin")
                address = ("127.0.0.1", int(listening["address"].rpartition(":")[2]))
                for _ in range(REQUESTS):
                    with socket.create_connection(address, PATIENCE_SECONDS) as caller:
                        assert is_well(caller)
                assert left_when_told(service) == 0
            finally:
                service.kill()
        assert len(everything(ours)) > PIPE_BYTES - 2 * select.PIPE_BUF, "the pipe was full"


def test_a_service_without_an_output_serves_and_leaves() -> None:
    with reserved_port() as port:
        environ = {"PORT": str(port), "HELLO_PORT": "0", "METRICS_PORT": "off"}
        command = ["sh", "-c", 'exec >&-; exec "$@"', "sh", sys.executable, "-m", "private_svc"]
        with subprocess.Popen(command, cwd=ROOT, env=os.environ | environ) as service:
            try:
                with connected(port, service) as caller:
                    assert is_well(caller)
                assert left_when_told(service) == 0
            finally:
                service.kill()
