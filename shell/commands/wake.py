"""`wake`: how long a cold start takes, where the time goes, and proof that it was cold."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from shell.arguments import MAX_PORT, app_name, http_path, seconds, whole
from shell.output import NOT_WELL, WELL, complain, open_screen, print_json

if TYPE_CHECKING:
    import argparse

HELLO_PORT = 1848
_MAX_REQUESTS = 10000
EPILOG = """\
examples:
  flycast-probe wake my-app                  wait until it sleeps, then 1 cold and 5 warm requests
  flycast-probe wake my-app --count 3 --warm 10 --path /healthz
  flycast-probe wake my-app --tcp            the raw hello port, 1848, to the first byte
  flycast-probe wake my-app --wait 0 --json  only if it sleeps now; JSON on stdout

A request is called cold only when it is proven: the app's process (Server-Timing: age) is younger than the
request. Without that header the table says: seen asleep in DNS before, not proven by the app.
"""

# ruff: noqa: PLC0415


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `wake` takes."""
    port = whole(1, MAX_PORT)
    parser.add_argument("app", type=app_name, metavar="APP", help="the app to wake")
    parser.add_argument("--count", type=whole(1, _MAX_REQUESTS), default=1, metavar="N", help="cycles (1)")
    parser.add_argument(
        "--warm", type=whole(0, _MAX_REQUESTS), default=5, metavar="N", help="warm requests a cycle (5)"
    )
    parser.add_argument("--wait", type=seconds, default=600.0, metavar="SECONDS", help="for sleep (600)")
    parser.add_argument("--timeout", type=seconds, default=30.0, metavar="SECONDS", help="for a request (30)")
    parser.add_argument("--path", type=http_path, default="/", help="what to GET (/)")
    ports = parser.add_mutually_exclusive_group()
    ports.add_argument("--port", type=port, default=80, help="HTTP port of the Flycast address (80)")
    ports.add_argument(
        "--tcp", type=port, nargs="?", const=HELLO_PORT, metavar="PORT", help="a raw TCP port instead (1848)"
    )


def run(options: argparse.Namespace) -> int:
    """Wait, measure, show, and say whether all is well."""
    from time import sleep

    from shell.phases import Edge, Protocols, Target, open_connection
    from shell.progress import Progress
    from shell.resolve import open_resolver
    from shell.wake import Plan, run

    target = Target(
        app_name=options.app,
        protocol=Protocols.HTTP if options.tcp is None else Protocols.TCP,
        port=options.port if options.tcp is None else options.tcp,
        path=options.path,
        timeout_seconds=options.timeout,
    )
    plan = Plan(target, options.count, options.warm, options.wait)
    edge = Edge(open_resolver(options.dns).ask, open_connection)
    outcome = run(plan, edge, sleep, Progress(sys.stderr, os.environ.get("TERM", "")))
    if options.json:
        from shell.record import wake_record

        print_json(wake_record(outcome))
    else:
        from shell.report import show_wake

        show_wake(open_screen(options), outcome)
    if outcome.error:
        complain(outcome.error)
    return WELL if outcome.well else NOT_WELL
