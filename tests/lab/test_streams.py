from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from lab.streams import QUEUE_BYTES, QueuedFile, queued
from tests.e2e.running import DEADLINE_SECONDS, PROJECT

if TYPE_CHECKING:
    from pathlib import Path

LINE = b"%06d" + b"." * 1017 + b"\n"  # a KiB
MANY = 4 * QUEUE_BYTES // 1024
NOTICE = "flycast-lab: {} missing here, because this output could not take them in time\n"


def numbered(first: int, count: int) -> list[bytes]:
    return [LINE % number for number in range(first, first + count)]


def read_until(fd: int, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = os.read(fd, 1 << 20)
        assert piece, f"expected {end!r} at the end, got {data[-200:]!r}"
        data += piece
    return data


async def test_what_finds_no_room_is_counted_and_told_before_the_next_line() -> None:
    read, write = os.pipe()
    file = QueuedFile(write)
    for line in numbered(0, MANY):
        file.write(line)
    reading = asyncio.create_task(asyncio.to_thread(read_until, read, b"in time\n"))
    *lines, notice = (await reading).splitlines(keepends=True)
    assert lines == numbered(0, len(lines))
    assert notice.decode() == NOTICE.format(f"{MANY - len(lines)} lines are")
    await file.written()
    file.write(b"after\n")
    assert read_until(read, b"after\n") == b"after\n"


async def test_all_that_finds_room_is_written_in_order_before_the_wait_ends() -> None:
    read, write = os.pipe()
    file = QueuedFile(write)
    lines = numbered(0, QUEUE_BYTES // 1024)
    for line in lines:
        file.write(line)
    reading = asyncio.create_task(asyncio.to_thread(read_until, read, lines[-1]))
    await file.written()
    assert await reading == b"".join(lines)


def test_a_reader_that_does_not_read_holds_the_end_up_for_no_longer_than_was_said() -> None:
    read, write = os.pipe()
    file = QueuedFile(write)
    for line in numbered(0, 100):
        file.write(line)
    began = time.monotonic()
    file.write_out(0.1)
    assert 0.1 <= time.monotonic() - began < DEADLINE_SECONDS
    os.close(read)


def test_a_reader_that_has_gone_is_a_broken_pipe() -> None:
    read, write = os.pipe()
    file = queued(write)
    os.close(read)
    with pytest.raises(BrokenPipeError):
        print("nobody", file=file)


async def test_a_reader_that_goes_while_the_lab_waits_for_it_ends_the_wait() -> None:
    read, write = os.pipe()
    file = QueuedFile(write)
    for line in numbered(0, 100):
        file.write(line)
    waiting = asyncio.create_task(file.written())
    await asyncio.sleep(0)
    os.close(read)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await waiting


async def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    file = queued(os.open("/dev/full", os.O_WRONLY))
    for _ in range(3):
        print("too much", file=file)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await file.buffer.written()  # type: ignore[attr-defined]


async def test_a_line_that_lost_its_end_with_its_reader_gets_one_before_the_notice(tmp_path: Path) -> None:
    os.mkfifo(fifo := tmp_path / "fifo")
    first = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    file = QueuedFile(os.open(fifo, os.O_WRONLY))
    file.write(b"x" * QUEUE_BYTES + b"\n")
    while select.select([], [file], [], 0)[1]:  # until the pipe is full
        pass
    os.close(first)
    await file.written()
    second = os.open(fifo, os.O_RDONLY)
    file.write(b"next\n")
    cut, notice = read_until(second, b"in time\n").decode().splitlines(keepends=True)
    assert 1 < len(cut) < QUEUE_BYTES
    assert notice == NOTICE.format("2 lines are")


def test_an_open_file_that_another_program_made_non_blocking_loses_nothing() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    file = QueuedFile(write)
    lines = numbered(0, 500)
    for line in lines:
        file.write(line)
    assert read_until(read, lines[-1]) == b"".join(lines)


def test_output_and_errors_on_one_terminal_or_pipe_keep_their_order() -> None:
    script = """if True:
        import sys
        from lab.streams import queued_output
        with queued_output(None):
            for number in range(1000):
                print(number, file=(sys.stdout, sys.stderr)[number % 2])
    """
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE_SECONDS, cwd=PROJECT, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [b"%d" % number for number in range(1000)]
