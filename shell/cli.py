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

_WELL, _NOT_WELL, _USAGE, _INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str]) -> int:
    """Run one command; return the exit status: 0 well, 1 not well, 2 usage, 130 interrupted."""
    try:
        status = _run(argv)
        sys.stdout.flush()
    except UsageError as error:
        _complain(str(error))
        return _USAGE
    except NotWellError as error:
        _complain(str(error))
        return _NOT_WELL
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return _NOT_WELL
    except OSError as error:  # those of the network are translated where they happen: this is the output
        _complain(f"cannot write the result: {error.strerror}")
        _forget_stdout()
        return _NOT_WELL
    return status


def _run(argv: Sequence[str]) -> int:
    try:
        options = parse(argv)
    except SystemExit as stop:  # argparse printed --help or --version
        return stop.code if isinstance(stop.code, int) else _WELL
    return _names(options) if options.command == "names" else _wake(options)


def _names(options: argparse.Namespace) -> int:
    from shell.names import is_app_name  # noqa: PLC0415 - start-up time: only the command that runs is loaded
    from shell.survey import survey  # noqa: PLC0415 - as above

    resolver = _resolver(options)
    surveys = []
    for subject in options.subjects:
        if "." not in subject and not is_app_name(subject):
            raise UsageError(f"expected the name of an app (a-z, 0-9, -) or a name with a dot, got {subject!r}")
        found = survey(subject, resolver.ask)
        for text in (found.remark, found.trouble):
            if text:
                _complain(text)
        surveys.append(found)
    if options.json:
        from shell.record import names_record  # noqa: PLC0415 - as above

        _print_json(names_record(surveys))
    else:
        from shell.report import show_survey  # noqa: PLC0415 - as above

        for found in surveys:
            show_survey(_screen(options), found)
    return _NOT_WELL if any(found.trouble for found in surveys) else _WELL


def _wake(options: argparse.Namespace) -> int:
    from shell.names import is_app_name  # noqa: PLC0415 - start-up time: only the command that runs is loaded
    from shell.phases import Edge, Protocols, Target, open_connection  # noqa: PLC0415 - as above
    from shell.progress import progress_on  # noqa: PLC0415 - as above
    from shell.wake import Plan, run  # noqa: PLC0415 - as above

    if not is_app_name(options.app):
        raise UsageError(f"expected the name of an app (a-z, 0-9, -), got {options.app!r}")
    target = Target(
        app_name=options.app,
        protocol=Protocols.HTTP if options.tcp is None else Protocols.TCP,
        port=options.port if options.tcp is None else options.tcp,
        path=options.path,
        timeout_seconds=options.timeout,
    )
    plan = Plan(target, options.count, options.warm, options.wait)
    edge = Edge(_resolver(options).ask, open_connection)
    progress = progress_on(sys.stderr, os.environ.get("TERM", ""))
    outcome = run(plan, edge, _pause, progress)
    if options.json:
        from shell.record import wake_record  # noqa: PLC0415 - as above

        _print_json(wake_record(outcome))
    else:
        from shell.report import show_wake  # noqa: PLC0415 - as above

        show_wake(_screen(options), outcome)
    if outcome.error:
        _complain(outcome.error)
    return _WELL if outcome.well else _NOT_WELL


def _resolver(options: argparse.Namespace) -> Resolver:
    from shell.resolve import Resolver  # noqa: PLC0415 - dnspython takes 60 ms
    from shell.servers import choose_servers  # noqa: PLC0415 - as above

    return Resolver(choose_servers(options.dns))


def _screen(options: argparse.Namespace) -> Screen:
    from shell.screen import Screen  # noqa: PLC0415 - only where there is something to draw

    return Screen(sys.stdout, color=not options.no_color and not os.environ.get("NO_COLOR"))


def _pause(seconds: float) -> None:
    from time import sleep  # noqa: PLC0415 - beside its only use

    sleep(seconds)


def _print_json(record: dict[str, Any]) -> None:
    from json import dumps  # noqa: PLC0415 - only with --json

    print(dumps(record))


def _complain(text: str) -> None:
    from shell.escape import printable  # noqa: PLC0415 - only when something is wrong

    with suppress(OSError):  # with stderr gone there is nobody to tell
        print(f"flycast-probe: {printable(text)}", file=sys.stderr)


def _forget_stdout() -> None:
    """Let the interpreter's last flush of a pipe nobody reads go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
