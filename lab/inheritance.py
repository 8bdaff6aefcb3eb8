"""What a process inherits from whoever started it, put in order before anything else happens.

- Standard streams: a closed one becomes /dev/null, else the next descriptor opened would take its number and a
  program on a Machine would read or write something of the lab's own.
- SIGCHLD: a parent may leave it ignored or blocked; then no end of a child is ever seen.
- The directory: it may have been deleted.
- Signals a parent left ignored (nohup, a background job) stay ignored; blocked ones are let through.
"""

from __future__ import annotations

import os
import signal
import sys

_STREAMS = ("stdin", "stdout", "stderr")


def put_in_order() -> None:
    """Open the standard streams that are closed, and make signals arrive; call it first in a program."""
    for number, name in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8"))  # noqa: PTH123, SIM115 - for ever
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def heeded(*numbers: signal.Signals) -> set[signal.Signals]:
    """Return those of `numbers` that are not ignored."""
    return {number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN}


def current_directory() -> str:
    """Return where this process is, or / when that directory has been deleted."""
    try:
        return os.getcwd()  # noqa: PTH109 - a plain string for chdir
    except FileNotFoundError:
        return "/"
