"""The command `flycast-probe`: data on stdout, everything else on stderr, the outcome in the exit status."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from shell.errors import NotWellError, UsageError
from shell.options import parse

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from shell.resolve import Resolver
    from shell.screen import Screen

# What a command needs is imported when it runs: rich and dnspython take 60 ms each, and --help needs neither.
# ruff: noqa: PLC0415

_WELL, _NOT_WELL, _USAGE, _INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str]) -> int:
    """Run one command; return the exit status: 0 well, 1 not well, 2 usage, 130 interrupted."""
    try:
        options = parse(argv)
        status = _names(options) if options.command == "names" else _wake(options)
        sys.stdout.flush()
    except SystemExit as stop:  # argparse printed --help or --version
        return stop.code if isinstance(stop.code, int) else _WELL
    except UsageError as error:
        _complain(str(error))
        return _USAGE
    except NotWellError as error:
        _complain(str(error))
        return _NOT_WELL
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as error:  # those of the network are translated where they happen: this is the output
        if not isinstance(error, BrokenPipeError):  # who closed a pipe has seen enough
            _complain(f"cannot write the result: {error.strerror}")
        _forget_stdout()
        return _NOT_WELL
    return status


def _names(options: argparse.Namespace) -> int:
    from shell.survey import survey

    resolver = _resolver(options)
    surveys = []
    for subject in options.subjects:
        found = survey(subject, resolver.ask)
        for text in filter(None, (found.remark, found.trouble)):
            _complain(text)
        surveys.append(found)
    if options.json:
        from shell.record import names_record

        _print_json(names_record(surveys))
    else:
        from shell.report import show_survey

        screen = _screen(options)
        for found in surveys:
            show_survey(screen, found)
    return _NOT_WELL if any(found.trouble for found in surveys) else _WELL


def _wake(options: argparse.Namespace) -> int:
    from time import sleep

    from shell.phases import Edge, Protocols, Target, open_connection
    from shell.progress import Progress
    from shell.wake import Plan, run

    target = Target(
        app_name=options.app,
        protocol=Protocols.HTTP if options.tcp is None else Protocols.TCP,
        port=options.port if options.tcp is None else options.tcp,
        path=options.path,
        timeout_seconds=options.timeout,
    )
    plan = Plan(target, options.count, options.warm, options.wait)
    edge = Edge(_resolver(options).ask, open_connection)
    outcome = run(plan, edge, sleep, Progress(sys.stderr, os.environ.get("TERM", "")))
    if options.json:
        from shell.record import wake_record

        _print_json(wake_record(outcome))
    else:
        from shell.report import show_wake

        show_wake(_screen(options), outcome)
    if outcome.error:
        _complain(outcome.error)
    return _WELL if outcome.well else _NOT_WELL


def _resolver(options: argparse.Namespace) -> Resolver:
    from shell.resolve import Resolver
    from shell.servers import choose_servers

    return Resolver(choose_servers(options.dns))


def _screen(options: argparse.Namespace) -> Screen:
    from shell.screen import Screen

    return Screen(sys.stdout, color=not options.no_color and not os.environ.get("NO_COLOR"))


def _print_json(record: dict[str, Any]) -> None:
    from json import dumps

    print(dumps(record))


def _complain(text: str) -> None:
    from shell.escape import printable

    with suppress(OSError):  # with stderr gone there is nobody to tell
        print(f"flycast-probe: {printable(text)}", file=sys.stderr)


def _forget_stdout() -> None:
    """Let the interpreter's last flush of a pipe nobody reads go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
