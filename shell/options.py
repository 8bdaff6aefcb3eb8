"""The command line's grammar: one line of complaint and where to look, never a page of usage."""

from __future__ import annotations

import argparse
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from shell import __version__
from shell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HELLO_PORT = 1848
_PROGRAM = "flycast-probe"
_MAX_PORT = 65535
_MAX_SECONDS = 86400.0
_MAX_REQUESTS = 10000

_EPILOG = """\
examples:
  flycast-probe names my-app                 every name of an app, and which Machines are up
  flycast-probe wake my-app                  time a cold start and five warm requests
  flycast-probe COMMAND --help               more of one command

Data goes to stdout, progress and complaints to stderr.
exit status: 0 well, 1 not well, 2 usage, 130 interrupted
"""
_NAMES_EPILOG = """\
examples:
  flycast-probe names my-app                 all .internal and .flycast names of my-app
  flycast-probe names my-app.flycast         one name (it contains a dot): AAAA and TXT
  flycast-probe names my-app --json | jq '.surveys[0].machines'
  flycast-probe names my-app --dns fdaa:0:18::3      over WireGuard
"""
_WAKE_EPILOG = """\
examples:
  flycast-probe wake my-app                  wait until it sleeps, then 1 cold and 5 warm requests
  flycast-probe wake my-app --count 3 --warm 10 --path /healthz
  flycast-probe wake my-app --tcp            the raw hello port, 1848, to the first byte
  flycast-probe wake my-app --wait 0 --json  only if it sleeps now; JSON on stdout

A request is called cold only when it is proven: the app's process (Server-Timing: age) is younger than the
request. Without that header the table says: seen asleep in DNS before, not proven by the app.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise UsageError(f"{message}; `{self.prog} --help` shows what can be given")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments; raise `UsageError`, or `SystemExit` after --help and --version."""
    parser = _Parser(
        prog=_PROGRAM,
        description="Ask the private network's DNS about an app, and time what it takes to wake it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{_PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    names = _command(commands, "names", "ask for every name of an app, or for one name", _NAMES_EPILOG)
    names.add_argument(
        "subjects", type=_subject, nargs="+", metavar="APP|NAME", help="an app, or a name with a dot in it"
    )
    _add_wake(_command(commands, "wake", "time cold and warm requests through Fly Proxy", _WAKE_EPILOG))
    return parser.parse_args(_with_hello_port(argv))


def _command(commands: argparse._SubParsersAction[_Parser], name: str, summary: str, epilog: str) -> _Parser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--dns", metavar="ADDR[:PORT]", help="nameserver (default: resolv.conf, else fdaa::3)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, with schema_version")
    parser.add_argument("--no-color", action="store_true", help="no colour (also: NO_COLOR)")
    return parser


def _add_wake(parser: _Parser) -> None:
    port = _whole(1, _MAX_PORT)
    parser.add_argument("app", type=_app, metavar="APP", help="the app to wake")
    parser.add_argument("--count", type=_whole(1, _MAX_REQUESTS), default=1, metavar="N", help="cycles (1)")
    parser.add_argument(
        "--warm", type=_whole(0, _MAX_REQUESTS), default=5, metavar="N", help="warm requests a cycle (5)"
    )
    parser.add_argument("--wait", type=_seconds, default=600.0, metavar="SECONDS", help="for sleep (600)")
    parser.add_argument("--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="for a request (30)")
    parser.add_argument("--path", type=_path, default="/", help="what to GET (/)")
    ports = parser.add_mutually_exclusive_group()
    ports.add_argument("--port", type=port, default=80, help="HTTP port of the Flycast address (80)")
    ports.add_argument(
        "--tcp", type=port, nargs="?", const=HELLO_PORT, metavar="PORT", help="a raw TCP port instead (1848)"
    )


def _with_hello_port(argv: Sequence[str]) -> list[str]:
    """Let `--tcp APP` mean the hello port: argparse would take APP for the port."""
    following = [*argv, ""][1:]
    return [
        f"--tcp={HELLO_PORT}" if word == "--tcp" and not re.fullmatch(r"-?[0-9]+", after) else word
        for word, after in zip(argv, following, strict=True)
    ]


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,9}", text) and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"expected a whole number from {least} to {most}, got {text!r}")

    return read


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 <= float(text) <= _MAX_SECONDS:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected seconds from 0 to {_MAX_SECONDS:.0f}, got {text!r}")


def _app(text: str) -> str:
    from shell.names import is_app_name  # noqa: PLC0415 - start-up time: --help needs no grammar

    if is_app_name(text):
        return text
    raise argparse.ArgumentTypeError(f"expected the name of an app (a-z, 0-9, -), got {text!r}")


def _subject(text: str) -> str:
    return text if "." in text else _app(text)


def _path(text: str) -> str:
    if re.fullmatch(r"/[!-~]*", text):
        return text
    raise argparse.ArgumentTypeError(f"expected a path that begins with / and has no spaces, got {text!r}")
