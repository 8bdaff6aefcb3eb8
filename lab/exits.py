"""How processes end: the status a shell would give, and the children that have ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def shell_status(exit_code: int) -> int:
    """Return 0 to 255 for an exit code as Python has it: 128 + signal where that is negative."""
    return exit_code if exit_code >= 0 else 128 - exit_code


def ended_children() -> Iterator[tuple[int, int]]:
    """Yield pid and shell status of every child that has ended by now, and forget it."""
    while True:
        try:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, shell_status(os.waitstatus_to_exitcode(wait_status))
