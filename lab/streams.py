"""Write where perhaps nobody reads: what the lab prints waits in a queue for a thread to write it, and the lab goes on.

A pipe that is full and a terminal that Ctrl-S stopped make write(2) wait.  O_NONBLOCK is no way out: it would also hold
for every program that shares the open file.  When the queue is full, lines are lost and counted until all that is in
it has been written; then one line says how many are missing.
"""

from __future__ import annotations

import asyncio
import io
import os
import select
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import ReadableBuffer

QUEUE_BYTES = 1 << 20
END_SECONDS = 2.0  # what readers get at the end of the lab to take what is in the queues


class QueuedFile(io.BufferedIOBase):
    """A descriptor that a thread of its own writes to; the thread begins with the first write, after every fork."""

    def __init__(self, fd: int) -> None:
        """Write to `fd`, which stays open."""
        self.name = self._fd = fd
        self._hang_up = select.poll()
        self._hang_up.register(fd, 0)  # poll(2) tells of POLLERR and POLLHUP unasked
        self._changed = threading.Condition()
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        self._lost = 0  # lines since the queue was full, or since the descriptor took no more
        self._is_cut = False  # the last line that was written has no end
        self._may_try = True  # false after an error, until there is something new to write
        self._at_rest = True
        self._on_rest: list[Callable[[], object]] = []
        self._thread: threading.Thread | None = None

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return os.isatty(self._fd)

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Queue `data`, or count its lines as lost; never wait.  Raise `BrokenPipeError` when the reader has gone."""
        taken = bytes(data)
        with self._changed:
            if self._hang_up.poll(0):
                self._lost += _lines(taken)
                raise BrokenPipeError
            if self._lost or self._queued_bytes >= QUEUE_BYTES:
                self._lost += _lines(taken)
            else:
                self._queue.append(taken)
                self._queued_bytes += len(taken)
            self._may_try, self._at_rest = True, False
            self._changed.notify_all()
            if self._thread is None:
                self._thread = _start_without_signals(self._write_on)
        return len(taken)

    async def written(self) -> None:
        """Wait until everything in the queue has been written, or lost."""
        loop, rested = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            loop.call_soon_threadsafe(rested.set)

        with self._changed:
            if self._at_rest:
                return
            self._on_rest.append(tell)
        try:
            await rested.wait()
        finally:
            with self._changed:
                if tell in self._on_rest:
                    self._on_rest.remove(tell)

    def write_out(self, seconds: float) -> None:
        """Block until everything in the queue has been written, or `seconds` have passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._at_rest, seconds)

    def _write_on(self) -> None:
        while True:
            rest = self._write(self._next())
            with self._changed:
                if rest:
                    self._lost += _lines(rest)
                    self._may_try = False
                if not self._has_work():
                    self._at_rest = True
                    self._changed.notify_all()
                    while self._on_rest:
                        self._on_rest.pop()()

    def _has_work(self) -> bool:
        return bool(self._queue or (self._lost and self._may_try))

    def _next(self) -> bytes:
        """Wait for work; return what is in the queue, or else the line that says how much is missing."""
        with self._changed:
            self._changed.wait_for(self._has_work)
            if self._queue:
                data = b"".join(self._queue)
                self._queue, self._queued_bytes = [], 0
                return data
            lost, self._lost = self._lost, 0
        lines = "1 line is" if lost == 1 else f"{lost} lines are"
        notice = f"flycast-lab: {lines} missing here, because this output could not take them in time\n"
        return b"\n" * self._is_cut + notice.encode()

    def _write(self, data: bytes) -> bytes:
        """Write `data`, waiting as long as it takes; return what an error left over."""
        rest = data
        try:
            while rest:
                try:
                    rest = rest[os.write(self._fd, rest) :]
                except BlockingIOError:  # a program that shares the open file has set O_NONBLOCK
                    room = select.poll()
                    room.register(self._fd, select.POLLOUT)
                    room.poll()
        except OSError:  # the reader has gone, or the disk is full: no reason to end the lab half-way
            pass
        if len(rest) < len(data):
            self._is_cut = data[-len(rest) - 1 : len(data) - len(rest)] != b"\n"
        return rest


def _lines(data: bytes) -> int:
    return max(1, data.count(b"\n"))


def _start_without_signals(work: Callable[[], None]) -> threading.Thread:
    """Start a thread that gets no signal: the last of them come when the main thread does not listen any more."""
    thread = threading.Thread(target=work, daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    thread.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return thread


def queued(fd: int, encoding: str = "utf-8") -> TextIO:
    """Return a text file that never waits for who reads `fd`."""
    return io.TextIOWrapper(QueuedFile(fd), encoding=encoding, errors="backslashreplace", line_buffering=True)


@contextmanager
def queued_output(log_file: TextIO | None) -> Iterator[None]:
    """Queue what is printed meanwhile; at the end, wait a little for the readers of that and of `log_file`."""
    before = sys.stdout, sys.stderr
    out, err = sys.stdout.fileno(), sys.stderr.fileno()
    sys.stdout = queued(out, sys.stdout.encoding)
    if os.path.sameopenfile(out, err):  # one queue keeps the order of what goes to the same terminal
        sys.stderr = sys.stdout
    else:
        sys.stderr = queued(err, sys.stderr.encoding)
    try:
        yield
    finally:
        end = time.monotonic() + END_SECONDS
        for file in _queues(sys.stdout, sys.stderr, log_file):
            file.write_out(max(0, end - time.monotonic()))
        sys.stdout, sys.stderr = before


async def printed() -> None:
    """Wait until all that was printed has been written, so that the output of a program comes after it."""
    for file in _queues(sys.stdout, sys.stderr):
        await file.written()


def _queues(*streams: TextIO | None) -> Iterator[QueuedFile]:
    for stream in streams:
        if stream is not None and isinstance(stream.buffer, QueuedFile):
            yield stream.buffer
