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
    "names": "ask for every name of an app, for one name, or for the organisation's names",
    "wake": "time cold and warm requests through Fly Proxy",
    "hello": "listen to the raw TCP port over Flycast and over 6PN",
    "watch": "show which Machines are up, and every change",
    "doctor": "find out why an app cannot be reached, and how to mend it",
    "check": "find in fly.toml and the app's addresses what breaks the app or exposes it",
    "explain": "print what an id of check or a code of Fly Proxy means, and what to do",
    "completion": "print what makes the shell complete this command's words",
}
_PROGRAM = "flycast-probe"
_USUAL = {"--tcp": ("1848", r"-?[0-9]+"), "--sleep": ("stop", r"(stop|suspend)(,.*)?")}
_EPILOG = """\
examples:
  flycast-probe names my-app                 every name of an app, and which Machines are up
  flycast-probe wake my-app                  time a cold start and five warm requests
  flycast-probe hello my-app                 the raw TCP port, over Flycast and over 6PN
  flycast-probe watch my-app                 a live line a Machine: up or asleep, since when
  flycast-probe doctor my-app                why it cannot be reached, and the command that mends it
  flycast-probe check                        what in fly.toml breaks the app or exposes it
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
    words = _with_values(argv)
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
    module.add_arguments(parser)


def _with_values(argv: Sequence[str]) -> list[str]:
    """Let `--tcp APP` and `--sleep APP` mean the usual value: argparse would take APP for one."""
    following = [*argv, ""][1:]
    return [
        f"{word}={_USUAL[word][0]}" if word in _USUAL and not re.fullmatch(_USUAL[word][1], after) else word
        for word, after in zip(argv, following, strict=True)
    ]
