"""`python -m shell`, and the console script `flycast-probe`."""

from __future__ import annotations

import os
import sys
from _signal import SIG_IGN, SIGINT, signal  # type: ignore[import-not-found]  # `signal` would import enum, outside the try

TYPE_CHECKING = False  # importing typing takes milliseconds in which Ctrl-C would print a traceback
if TYPE_CHECKING:
    from typing import NoReturn


def entry() -> NoReturn:
    """Run the command line and leave with its exit status."""
    try:
        _make_streams_safe()
        from shell.cli import main  # noqa: PLC0415 - Ctrl-C during the imports is obeyed as quietly as later

        status = main(sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    signal(SIGINT, SIG_IGN)  # a second Ctrl-C must not print Python's own last words
    sys.exit(status)


def _make_streams_safe() -> None:
    """Give closed standard streams a place to write to, and the others no character they cannot."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - lives as long as the process
        else:
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    entry()
