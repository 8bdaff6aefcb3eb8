"""`hello`: the raw TCP port of an app, over Flycast and over 6PN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.arguments import MAX_PORT, add_common, app_name, timeout_seconds, whole
from shell.output import NOT_WELL, WELL, complain, open_progress, open_screen, print_json

if TYPE_CHECKING:
    import argparse

_PORT = 1848
_MAX_COUNT = 10000
EPILOG = """\
examples:
  flycast-probe hello my-app                 port 1848 through Fly Proxy, then at every started Machine
  flycast-probe hello my-app --count 100     a hundred connections each way
  flycast-probe hello my-app --port 2222     another service that speaks first
  flycast-probe hello my-app --json | jq '.hellos[] | [.way, .said, .end]'

An app that sleeps is woken through Flycast; 6PN is tried after that. Status 1 when one way does not answer, or resets.
"""

# ruff: noqa: PLC0415


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `hello` takes."""
    add_common(parser)
    parser.add_argument("app", type=app_name, metavar="APP", help="the app to listen to")
    parser.add_argument("--port", type=whole(1, MAX_PORT), default=_PORT, help="the same both ways (1848)")
    parser.add_argument("--count", type=whole(1, _MAX_COUNT), default=1, metavar="N", help="connections each way (1)")
    parser.add_argument(
        "--timeout", type=timeout_seconds, default=30.0, metavar="SECONDS", help="for a connection (30)"
    )


def run(options: argparse.Namespace) -> int:
    """Listen, show, and say whether every way answers."""
    from time import sleep

    from shell.hello.ways import Plan, run
    from shell.phases import Edge, open_connection
    from shell.resolve import open_resolver

    plan = Plan(options.app, options.port, options.count, options.timeout)
    edge = Edge(open_resolver(options.dns).ask, open_connection)
    hearing = run(plan, edge, sleep, open_progress(options))
    if options.json:
        from shell.hello.record import hello_record

        print_json(hello_record(hearing))
    else:
        from shell.hello.report import show_hearing

        show_hearing(open_screen(options), hearing)
    for text in hearing.troubles:
        complain(text)
    return NOT_WELL if hearing.troubles else WELL
