"""`explain`: what an id in the output of `check`, or a code of Fly Proxy, means, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.errors import UsageError
from shell.output import WELL

if TYPE_CHECKING:
    import argparse

EPILOG = """\
examples:
  flycast-probe explain force-https          how severe it is, why, and what to do
  flycast-probe explain PM05                 a code of Fly Proxy, as `fly logs` shows it
  flycast-probe check --json | jq -r '.findings[].id' | xargs -n1 flycast-probe explain

docs/rules.md has all of them.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `explain` takes."""
    parser.add_argument("id", nargs="?", metavar="ID", help="of `check` or `fly logs`, as in brackets (none: list all)")


def run(options: argparse.Namespace) -> int:
    """Print one page, or every id; raise `UsageError` for an id that has no page."""
    from difflib import get_close_matches  # noqa: PLC0415 - no other command needs it before its first answer

    from shell.pages import PAGES  # noqa: PLC0415 - it imports every rule

    if options.id is None:
        print(*PAGES, sep="\n")
        return WELL
    ids = {name.lower(): name for name in PAGES}
    wanted = options.id.strip("[]").lower()
    if wanted not in ids:
        near = get_close_matches(wanted, ids, 1)
        hint = f"did you mean {ids[near[0]]}?" if near else "`flycast-probe explain` lists them"
        raise UsageError(f"expected the id of a rule or a code of Fly Proxy, got {options.id!r:.60}; {hint}")
    print(PAGES[ids[wanted]].removeprefix("## "), end="")
    return WELL
