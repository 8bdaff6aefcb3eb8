"""Write lines where nobody may be reading: the service never waits for the reader of its log.

Where a pipe is full or a terminal was stopped, a line is dropped and counted; logs.py reports the count before the next
line that finds room. poll(2) promises room for PIPE_BUF bytes and no more (pipe(7)).
"""

from __future__ import annotations

import os
import select


class LineWriter:
    """Writes to one file descriptor, which it does not close."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._room = select.poll()
        self._room.register(fd, select.POLLOUT)
        self._is_cut = False  # the last line has no end
        self.lost = 0  # lines since the last one that was written

    def has_room(self) -> bool:
        """Tell whether `PIPE_BUF` bytes can be written now."""
        return bool(self._room.poll(0))

    def write(self, *lines: str) -> bool:
        """Write each line and its end, as many at a time as are sure to find room; count those that find none.

        Return whether all were written.
        """
        pieces = [b""]
        for line in lines:
            data = f"{line}\n".encode(errors="backslashreplace")
            if pieces[-1] and len(pieces[-1]) + len(data) > select.PIPE_BUF:
                pieces.append(b"")
            pieces[-1] += data
        written = [self._write(piece) for piece in pieces]  # each of them: what comes after a lost one may find room
        return all(written)

    def _write(self, piece: bytes) -> bool:
        """Write whole lines, or count those that are lost; return whether all were written."""
        data = b"\n" + piece if self._is_cut else piece
        written = 0
        try:
            while written < len(data) and self.has_room():
                written += os.write(self._fd, data[written : written + select.PIPE_BUF])
        except OSError:  # the reader has gone, the disk is full
            pass
        if written == len(data):
            self.lost, self._is_cut = 0, False
            return True
        self.lost += piece.count(b"\n") - data[len(data) - len(piece) : written].count(b"\n")
        if written:
            self._is_cut = data[written - 1 : written] != b"\n"
        return False
