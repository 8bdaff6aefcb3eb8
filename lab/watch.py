"""`flycast-lab status --watch`: the tables of a lab, drawn anew at every change.

On a terminal they have a screen of their own, which is gone afterwards; elsewhere a change is printed below the last.
"""

from __future__ import annotations

import json
import select
import shutil
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lab.errors import LabError
from lab.remote import ask, process_of
from lab.tables import status_lines

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

_LOOK_AGAIN_SECONDS = 0.2
_GOING_SECONDS = 2.0  # between the last answer of a lab and its end
_OWN_SCREEN, _OLD_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def watch(pid: int, *, as_json: bool) -> int:
    """Show every change in the lab of process `pid` until it ends; return the exit status."""
    lab = process_of(pid)
    if as_json or not sys.stdout.isatty():
        show: Callable[[dict[str, Any]], None] = _as_json if as_json else _below
        return _look(pid, lab, show)
    with _own_screen():
        return _look(pid, lab, _draw)


def _look(pid: int, lab: int, show: Callable[[dict[str, Any]], None]) -> int:
    shown: tuple[dict[str, Any], os.terminal_size] | None = None
    while True:
        try:
            status = ask(pid, {"do": "status"})
        except LabError:
            if select.select([lab], [], [], _GOING_SECONDS)[0]:
                return 0
            raise
        now = status, shutil.get_terminal_size()
        if now != shown:
            show(status)
            shown = now
        if _ended(lab):
            return 0


def _ended(lab: int) -> bool:
    """Wait a little; tell whether the lab has ended, raise `BrokenPipeError` when nobody reads us any more."""
    poll = select.poll()
    poll.register(lab, select.POLLIN)
    poll.register(sys.stdout, 0)  # says nothing but that the reader is gone
    happened = dict(poll.poll(_LOOK_AGAIN_SECONDS * 1000))
    if sys.stdout.fileno() in happened:
        raise BrokenPipeError
    return lab in happened


def _as_json(status: dict[str, Any]) -> None:
    print(json.dumps(status), flush=True)


def _below(status: dict[str, Any]) -> None:
    print("\n".join([*status_lines(status), ""]), flush=True)


def _draw(status: dict[str, Any]) -> None:
    size = shutil.get_terminal_size()
    lines = [line[: size.columns] + _REST_OF_LINE for line in status_lines(status)][: size.lines]
    print(_HOME + "\r\n".join(lines) + _REST_OF_SCREEN, end="", flush=True)


@contextmanager
def _own_screen() -> Iterator[None]:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    print(_OWN_SCREEN, end="", flush=True)
    try:
        yield
    finally:
        print(_OLD_SCREEN, end="", flush=True)
