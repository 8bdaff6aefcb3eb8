"""Reads what a Machine prints, line by line, without ever waiting for it."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from lab.log import printable

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LINE_BYTES = 8192
_READ_BYTES = 65536


class LineReader:
    """Hand every line that arrives on a pipe to a function, until the pipe's last writer is gone."""

    def __init__(self, fd: int, on_line: Callable[[str], None]) -> None:
        """Own the read end `fd`; a line longer than `MAX_LINE_BYTES` is handed on in pieces."""
        self._fd = fd
        self._on_line = on_line
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        self.ended = self._loop.create_future()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hand_on(line)
        while len(self._rest) > MAX_LINE_BYTES:
            self._hand_on(self._rest[:MAX_LINE_BYTES])
            self._rest = self._rest[MAX_LINE_BYTES:]
        if not data:
            self._finish()

    def _finish(self) -> None:
        if self._rest:
            self._hand_on(self._rest)
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self.ended.set_result(None)

    def _hand_on(self, line: bytes) -> None:
        self._on_line(printable(line.decode("utf-8", "backslashreplace")))
