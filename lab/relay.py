"""Pipes between the caller's standard streams and those of a program in a Machine.

Whatever runs in a Machine can be opened by the app beside it, through /proc/PID/fd: so a program there gets pipes, and
the caller's terminal and files stay on this side of them.
"""

from __future__ import annotations

import os
import select

_PIECE = 65536
_LARGEST_PIPE = 1024 * 1024  # what a program may make its end hold: fs.pipe-max-size


def open_pipes() -> tuple[list[int], list[int]]:
    """Return our ends and the program's ends of three pipes: standard input, output and error."""
    pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
    (its_input, our_input), *outputs = pipes
    os.set_blocking(our_input, False)
    return [our_input, *(read for read, _ in outputs)], [its_input, *(write for _, write in outputs)]


def carry(ours: list[int], until: int) -> None:
    """Copy between the caller's streams and the pipes until `until` becomes readable; then close the pipes."""
    to_program, *from_program = ours
    targets = dict(zip(from_program, (1, 2), strict=True))
    keys = _Keys(to_program)
    try:
        while True:
            sources = [*targets, until, *([0] if keys.wanted else [])]
            readable, writable, _ = select.select(sources, [to_program] if keys.waiting else [], [])
            for source in targets.keys() & readable:
                if not _copy(source, targets[source]):
                    del targets[source]
            if until in readable:
                break
            keys.go_on(readable=0 in readable, writable=bool(writable))
        for source, target in targets.items():
            if _is_readable(source):  # one read takes what it said last, and no more of a child that it left behind
                _copy(source, target, _LARGEST_PIPE)
    finally:
        keys.end()
        for descriptor in from_program:
            os.close(descriptor)


class _Keys:
    """The way from the caller's standard input to the program's, of which one piece is under way at a time."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open = True
        self.waiting = b""

    @property
    def wanted(self) -> bool:
        """Whether more may be read."""
        return self._open and not self.waiting

    def go_on(self, *, readable: bool, writable: bool) -> None:
        """Read a piece, or write what the program takes of the last one; end when there is no more on either side."""
        if writable:
            try:
                self.waiting = self.waiting[os.write(self._target, self.waiting) :]
            except BlockingIOError:
                return
            except BrokenPipeError:
                self.end()
        elif readable:
            self.waiting = os.read(0, _PIECE)
            if not self.waiting:
                self.end()

    def end(self) -> None:
        """Close the program's input."""
        self.waiting = b""
        if self._open:
            self._open = False
            os.close(self._target)


def _is_readable(source: int) -> bool:
    return bool(select.select([source], [], [], 0)[0])


def _copy(source: int, target: int, most: int = _PIECE) -> bool:
    """Copy what there is; return whether it was anything: nothing is the end."""
    said = os.read(source, most)
    left = said
    while left:
        left = left[os.write(target, left) :]
    return bool(said)
