"""A program's own terminal, joined to the caller's.

The caller's terminal is put into raw mode, so that Ctrl-C, Ctrl-Z and every other key reach the program's terminal,
which makes the signals of them; its size follows the caller's window; and it is left as it was, however this ends.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import termios
import tty
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

from lab.errors import UsageError
from lab.inheritance import heeded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_KEYBOARD, _SCREEN = 0, 1
_PIECE = 16384
_LAST_WORDS_SECONDS = 0.1  # for what the program wrote last; a child it left behind may hold the terminal open for ever
_ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT)


def require() -> None:
    """Raise `UsageError` when the caller has no terminal."""
    if not (os.isatty(_KEYBOARD) and os.isatty(_SCREEN)):
        raise UsageError("shell: expected a terminal, got a pipe or file; in scripts use 'flycast-lab exec -- CMD'")


def copy_size(ours: int) -> None:
    """Make our end of a terminal as large as the caller's."""
    with suppress(OSError):  # the window is gone: whoever closed it sends a hang-up, too
        termios.tcsetwinsize(ours, termios.tcgetwinsize(_SCREEN))


def join(ours: int, until: int) -> None:
    """Carry keys to the program and its words to the screen until the descriptor `until` becomes readable.

    `ours` is our end of the program's terminal, which becomes as large as the caller's.
    """
    copy_size(ours)
    signal.signal(signal.SIGWINCH, lambda _number, _frame: copy_size(ours))
    for number in heeded(*_ENDINGS):
        signal.signal(number, _leave)
    os.set_blocking(ours, False)
    with _raw_keyboard():
        _carry(ours, until)
        while select.select([ours], [], [], _LAST_WORDS_SECONDS)[0] and _show(ours):
            pass


@contextmanager
def _raw_keyboard() -> Iterator[None]:
    before = termios.tcgetattr(_KEYBOARD)
    tty.setraw(_KEYBOARD)
    try:
        yield
    finally:
        termios.tcsetattr(_KEYBOARD, termios.TCSADRAIN, before)


def _carry(ours: int, until: int) -> None:
    watched = {ours, until, _KEYBOARD}
    typed = b""
    while True:
        listening = watched - ({_KEYBOARD} if typed else set())  # nothing new before the program has taken this
        readable, writable, _ = select.select(listening, [ours] if typed else [], [])
        if until in readable:
            return
        if ours in readable and not _show(ours):
            watched.discard(ours)
        if _KEYBOARD in readable:
            typed = os.read(_KEYBOARD, _PIECE)
            if not typed:
                watched.discard(_KEYBOARD)
        if ours in writable:
            typed = typed[_write_some(ours, typed) :]


def _show(ours: int) -> bool:
    """Write what the program said to the screen; tell whether there may be more."""
    try:
        said = os.read(ours, _PIECE)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno != errno.EIO:  # Linux for: every other end is closed
            raise
        return False
    while said:
        said = said[os.write(_SCREEN, said) :]
    return True


def _write_some(ours: int, typed: bytes) -> int:
    try:
        return os.write(ours, typed)
    except BlockingIOError:
        return 0


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
