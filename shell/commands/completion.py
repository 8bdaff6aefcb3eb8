"""`completion`: the shell's own script that completes commands, options and their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.output import WELL

if TYPE_CHECKING:
    import argparse

SHELLS = ("bash", "zsh", "fish")
EPILOG = """\
examples:
  source <(flycast-probe completion bash)    for this shell
  flycast-probe completion fish > ~/.config/fish/completions/flycast-probe.fish
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `completion` takes."""
    parser.add_argument("shell", choices=SHELLS, help="which shell")


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    import shtab  # noqa: PLC0415 - nothing else needs it

    from shell.options import parser_of  # noqa: PLC0415 - it imports every command

    print(shtab.complete(parser_of(), options.shell))
    return WELL
