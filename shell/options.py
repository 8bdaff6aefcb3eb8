"""The command line's grammar: one line of complaint and where to look, never a page of usage."""

from __future__ import annotations

import argparse
import re
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from shell import __version__
from shell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMMANDS = {
    "names": "ask for every name of an app, or for one name",
    "wake": "time cold and warm requests through Fly Proxy",
}
_PROGRAM = "flycast-probe"
_EPILOG = """\
examples:
  flycast-probe names my-app                 every name of an app, and which Machines are up
  flycast-probe wake my-app                  time a cold start and five warm requests
  flycast-probe COMMAND --help               more of one command

Data goes to stdout, progress and complaints to stderr.
exit status: 0 well, 1 not well, 2 usage, 3 over budget, 130 interrupted
"""


class Parser(argparse.ArgumentParser):
    """Raises `UsageError` instead of printing the usage."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise UsageError(f"{message}; `{self.prog} --help` shows what can be given")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments; raise `UsageError`, or `SystemExit` after --help and --version."""
    words = _with_ports(argv)
    given = next((word for word in words if not word.startswith("-")), "")
    return parser_of({given}).parse_args(words)


def parser_of(full: Iterable[str] = COMMANDS) -> Parser:
    """Return the parser; the commands in `full` know their arguments, the others only their summary."""
    parser = Parser(
        prog=_PROGRAM,
        description="Ask the private network's DNS about an app, and time what it takes to wake it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{_PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        if name in full:
            _complete(command, name, summary)
    return parser


def _complete(parser: Parser, name: str, summary: str) -> None:
    module = import_module(f"shell.commands.{name}")
    parser.description = f"{summary[0].upper()}{summary[1:]}."
    parser.epilog = module.EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.allow_abbrev = False
    parser.add_argument("--dns", metavar="ADDR[:PORT]", help="nameserver (default: resolv.conf, else fdaa::3)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, with schema_version")
    parser.add_argument("--no-color", action="store_true", help="no colour (also: NO_COLOR)")
    module.add_arguments(parser)


def _with_ports(argv: Sequence[str]) -> list[str]:
    """Let `--tcp APP` mean the hello port: argparse would take APP for the port."""
    following = [*argv, ""][1:]
    return [
        "--tcp=1848" if word == "--tcp" and not re.fullmatch(r"-?[0-9]+", after) else word
        for word, after in zip(argv, following, strict=True)
    ]
