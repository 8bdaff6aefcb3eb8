"""`wake`: how long a cold start takes, where the time goes, and proof that it was cold."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from shell.arguments import MAX_PORT, add_common, app_name, http_path, seconds, timeout_seconds, whole
from shell.output import NOT_WELL, OVER_BUDGET, WELL, complain, open_progress, open_screen, print_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from shell.phases import Edge, Target
    from shell.wake.budget import Limit
    from shell.wake.plan import SleepMode
    from shell.wake.put_to_sleep import Sandman

HELLO_PORT = 1848
FAIL_FROM = {"4xx": 400, "5xx": 500}
_MAX_REQUESTS = 10000
_EXCHANGES = 3  # a resolver's most with one nameserver: UDP twice, TCP once
_TRY_SECONDS = 2.0
EPILOG = """\
examples:
  flycast-probe wake my-app                  wait until it sleeps, then 1 cold request and 5 warm ones of each sort
  flycast-probe wake my-app --count 3 --warm 10 --path /healthz
  flycast-probe wake my-app --tcp            the raw hello port, 1848, to the first byte
  flycast-probe wake my-app --wait 0 --json  only if it sleeps now; JSON on stdout
  ADMIN_TOKEN=… flycast-probe wake my-app --sleep=stop,suspend --count 5 --svg wake.svg
  flycast-probe wake my-app --count 10 --budget cold=2000,cold.p90=3000,warm=50

A request is called cold only when it is proven: the app's process (Server-Timing: age) is younger than the
request. One that resumed a suspended Machine is called resumed. Without that header the table says: seen asleep
in DNS before, not proven by the app. Warm requests have a connection each, kept ones share one.

budget: cold, resumed, warm or kept, then .median (if nothing is said), .min, .p90 (nearest rank) or .max, in ms;
each breach is a line on stderr, and the exit status is 3 unless something is not well (1)
"""

# ruff: noqa: PLC0415


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `wake` takes."""
    add_common(parser)
    port = whole(1, MAX_PORT)
    parser.add_argument("app", type=app_name, metavar="APP", help="the app to wake")
    parser.add_argument("--count", type=whole(1, _MAX_REQUESTS), default=1, metavar="N", help="cycles (1)")
    parser.add_argument(
        "--warm",
        type=whole(0, _MAX_REQUESTS),
        default=5,
        metavar="N",
        help="warm requests a cycle, and again on one kept-alive connection (5)",
    )
    parser.add_argument("--wait", type=seconds, default=600.0, metavar="SECONDS", help="for sleep (600)")
    parser.add_argument(
        "--sleep",
        type=_modes,
        nargs="?",
        const="stop",
        default=(),
        metavar="stop|suspend|stop,suspend",
        help="ask the service to sleep, with the token in the environment variable ADMIN_TOKEN (stop)",
    )
    parser.add_argument(
        "--timeout",
        type=timeout_seconds,
        default=30.0,
        metavar="SECONDS",
        help="for a request, its DNS question included (30)",
    )
    parser.add_argument("--path", type=http_path, default="/", help="what to GET (/)")
    parser.add_argument(
        "--fail-on",
        choices=FAIL_FROM,
        default="4xx",
        help="HTTP answers that are errors: 4xx and 5xx (4xx), or 5xx alone",
    )
    parser.add_argument(
        "--budget", type=_budget, default=(), metavar="KIND=MS,…", help="most ms of the median; exit 3 when over it"
    )
    parser.add_argument("--svg", type=_file, metavar="FILE", help="write a chart, too")
    ports = parser.add_mutually_exclusive_group()
    ports.add_argument("--port", type=port, default=80, help="HTTP port of the Flycast address (80)")
    ports.add_argument(
        "--tcp", type=port, nargs="?", const=HELLO_PORT, metavar="PORT", help="a raw TCP port instead (1848)"
    )


def run(options: argparse.Namespace) -> int:
    """Wait, measure, show, and say whether all is well and within the budget."""
    from datetime import UTC, datetime
    from time import sleep

    from shell.phases import Protocols, Target
    from shell.wake.budget import breaches_of
    from shell.wake.plan import Plan
    from shell.wake.run import run

    http = Target(options.app, Protocols.HTTP, options.port, options.path, options.timeout)
    target = http if options.tcp is None else Target(options.app, Protocols.TCP, options.tcp, "/", options.timeout)
    plan = Plan(target, options.count, options.warm, options.wait, options.sleep, FAIL_FROM[options.fail_on])
    edge = _edge(options)
    sandman_for = _sandman_for(http, edge) if plan.modes else None
    began_at = datetime.now(UTC)
    outcome = run(plan, edge, sleep, open_progress(options), sandman_for)
    breaches = breaches_of(options.budget, outcome)
    if options.json:
        from shell.wake.record import wake_record

        print_json(wake_record(outcome, began_at, breaches))
    else:
        from shell.wake.report import show_wake

        show_wake(open_screen(options), outcome)
    error = "" if outcome.interrupted else outcome.error  # who pressed Ctrl-C knows
    for trouble in filter(None, (error, outcome.doubt, *map(str, breaches))):
        complain(trouble)
    if options.svg and outcome.samples:
        from shell.wake.chart import chart_of
        from shell.whole_file import write_whole

        write_whole(options.svg, chart_of(outcome, began_at))
    if outcome.interrupted:
        raise KeyboardInterrupt
    if not outcome.well:
        return NOT_WELL
    return OVER_BUDGET if breaches else WELL


def _edge(options: argparse.Namespace) -> Edge:
    """Return the network, with a resolver that is done within the timeout whichever nameservers are silent."""
    from shell.phases import Edge, open_connection
    from shell.resolve import Resolver
    from shell.servers import choose_servers

    servers = choose_servers(options.dns)
    try_seconds = min(_TRY_SECONDS, options.timeout / (_EXCHANGES * len(servers)))
    return Edge(Resolver(servers, try_seconds=try_seconds).ask, open_connection)


def _sandman_for(http: Target, edge: Edge) -> Callable[[SleepMode], Sandman]:
    from functools import partial

    from shell.wake.put_to_sleep import Sandman, token_from

    return partial(Sandman, http, edge, token_from(os.environ))


def _modes(text: str) -> tuple[SleepMode, ...]:
    from shell.wake.plan import SleepMode

    words = text.split(",")
    if not set(words) <= set(SleepMode) or len(set(words)) < len(words):
        raise ArgumentTypeError(f"expected stop, suspend or stop,suspend, got {text!r}")
    return tuple(SleepMode(word) for word in words)


def _budget(text: str) -> tuple[Limit, ...]:
    from shell.wake.budget import read_budget

    return read_budget(text)


def _file(text: str) -> Path:
    from shell.whole_file import writable_file

    return writable_file(text)
