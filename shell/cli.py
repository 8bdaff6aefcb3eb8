"""The command `flycast-probe`: find the command, run it, turn how it ended into an exit status."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from shell.errors import NotWellError, UsageError
from shell.options import parse
from shell.output import INTERRUPTED, NOT_WELL, USAGE, WELL, complain, forget_stdout

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run one command; return the exit status: 0 well, 1 not well, 2 usage, 3 over budget, 130 interrupted."""
    try:
        options = parse(argv)
        status: int = import_module(f"shell.commands.{options.command}").run(options)
        sys.stdout.flush()
    except SystemExit as stop:  # argparse printed --help or --version
        return stop.code if isinstance(stop.code, int) else WELL
    except UsageError as error:
        complain(str(error))
        return USAGE
    except NotWellError as error:
        complain(str(error))
        return NOT_WELL
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:  # those of the network are translated where they happen: this is the output
        if not isinstance(error, BrokenPipeError):  # who closed a pipe has seen enough
            complain(f"cannot write the result: {error.strerror}")
        forget_stdout()
        return NOT_WELL
    return status
