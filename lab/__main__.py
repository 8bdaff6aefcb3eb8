"""Start `flycast-lab` from the command line."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

from lab import inheritance
from lab.cli import main


def entry() -> NoReturn:
    """Run the command line and exit with its status."""
    inheritance.put_in_order()
    try:
        status = main(sys.argv[1:])
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BrokenPipeError:
        status = 128 + signal.SIGPIPE
        sys.stderr.close()
    sys.exit(status)


if __name__ == "__main__":
    entry()
