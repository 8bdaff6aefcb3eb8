"""`watch`: which Machines of an app are up, and every change."""

from __future__ import annotations

import argparse
import math
import os
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from shell.arguments import add_common, app_name, seconds
from shell.output import NOT_WELL, WELL, complain

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from shell.watch.run import Display

_LEAST_INTERVAL_SECONDS = 0.1
EPILOG = """\
examples:
  flycast-probe watch my-app                 live on a terminal, until Ctrl-C
  flycast-probe watch my-app --for 600 | tee changes.txt
  flycast-probe watch my-app --json | jq -c 'select(.to == "asleep")'
  flycast-probe watch my-app --for 0         who is up now

Looking is a question to DNS: it wakes nothing. With --json each line is an object of its own. Status 1 when DNS does
not tell at the first look or at the last.
"""

# ruff: noqa: PLC0415


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `watch` takes."""
    add_common(parser)
    parser.add_argument("app", type=app_name, metavar="APP", help="the app to watch")
    parser.add_argument(
        "--for", dest="for_seconds", type=seconds, default=math.inf, metavar="SECONDS", help="how long (until Ctrl-C)"
    )
    parser.add_argument("--interval", type=_interval, default=1.0, metavar="SECONDS", help="between two looks (1)")


def run(options: argparse.Namespace) -> int:
    """Watch, and say whether the last look succeeded."""
    import time
    from datetime import datetime

    from shell.asleep import look_at
    from shell.resolve import open_resolver
    from shell.watch.run import Watcher

    resolver = open_resolver(options.dns)
    with _open_display(options) as display:
        watcher = Watcher(
            look=lambda: look_at(options.app, resolver.ask),
            clock=time.monotonic,
            now=lambda: datetime.now().astimezone(),
            pause=time.sleep,
            display=display,
            interval_seconds=options.interval,
        )
        last_succeeded = watcher.run(options.for_seconds)
    if not last_succeeded:
        complain("it ended while DNS did not tell which Machines are up")
    return WELL if last_succeeded else NOT_WELL


def _open_display(options: argparse.Namespace) -> AbstractContextManager[Display]:
    """Return live lines on a terminal, else a line an event."""
    if sys.stdout.isatty() and os.environ.get("TERM", "") not in {"", "dumb"} and not options.json:
        from shell.watch.live import live_lines

        return live_lines(sys.stdout, options.app, color=not options.no_color and not os.environ.get("NO_COLOR"))
    from shell.watch.lines import Lines

    return nullcontext(Lines(sys.stdout, options.app, as_json=options.json))


def _interval(text: str) -> float:
    value = seconds(text)
    if value < _LEAST_INTERVAL_SECONDS:
        raise argparse.ArgumentTypeError(f"expected at least {_LEAST_INTERVAL_SECONDS} s between two looks, got {text}")
    return value
