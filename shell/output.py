"""Where a command's words go: data to stdout, complaints to stderr, the outcome into the exit status."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from shell.progress import Progress
    from shell.screen import Screen

WELL, NOT_WELL, USAGE, OVER_BUDGET, INTERRUPTED = 0, 1, 2, 3, 130

# ruff: noqa: PLC0415


def open_screen(options: argparse.Namespace) -> Screen:
    """Return stdout for tables, in colour where the person and the terminal have no objection."""
    from shell.screen import Screen

    return Screen(sys.stdout, color=not options.no_color and not os.environ.get("NO_COLOR"))


def open_progress(options: argparse.Namespace) -> Progress:
    """Return stderr for progress, or nothing for who wants quiet."""
    from shell.progress import Progress

    return Progress(None if options.quiet else sys.stderr, os.environ.get("TERM", ""))


def print_json(record: dict[str, Any]) -> None:
    """Write one JSON object on one line."""
    from json import dumps

    print(dumps(record))


def complain(text: str) -> None:
    """Write a line to stderr."""
    from shell.escape import printable

    with suppress(OSError):  # with stderr gone there is nobody to tell
        print(f"flycast-probe: {printable(text)}", file=sys.stderr)


def forget_stdout() -> None:
    """Let the interpreter's last flush of a pipe nobody reads go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
