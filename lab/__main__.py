"""Start `flycast-lab` from the command line."""

from __future__ import annotations

import sys
from _signal import SIG_IGN, SIGINT, signal  # type: ignore[import-not-found]  # `signal` would import enum, outside the try

TYPE_CHECKING = False  # importing typing takes milliseconds in which Ctrl-C would print a traceback
if TYPE_CHECKING:
    from typing import NoReturn

_INTERRUPTED, _NOBODY_READS = 130, 141  # 128 + SIGINT, 128 + SIGPIPE


def entry() -> NoReturn:
    """Run the command line and exit with its status."""
    try:
        from lab import inheritance  # noqa: PLC0415 - Ctrl-C during the imports is obeyed as quietly as later

        inheritance.put_in_order()
        from lab.cli import main  # noqa: PLC0415 - likewise

        status = main(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = _INTERRUPTED
    except BrokenPipeError:
        status = _NOBODY_READS
        sys.stderr.close()
    signal(SIGINT, SIG_IGN)  # a second Ctrl-C must not print Python's own last words
    sys.exit(status)


if __name__ == "__main__":
    entry()
