"""`explain`: what an id in the output of `check` means, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.errors import UsageError
from shell.output import WELL

if TYPE_CHECKING:
    import argparse

EPILOG = """\
examples:
  flycast-probe explain force-https          how severe it is, why, and what to do
  flycast-probe check --json | jq -r '.findings[].id' | xargs -n1 flycast-probe explain

docs/rules.md has all of them.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `explain` takes."""
    parser.add_argument("id", nargs="?", metavar="ID", help="as `check` prints it in brackets (none: list all)")


def run(options: argparse.Namespace) -> int:
    """Print the page of one rule, or every id; raise `UsageError` for an id that no rule has."""
    from difflib import get_close_matches  # noqa: PLC0415 - no other command needs it before its first answer

    from shell.check.catalog import RULES, page_of  # noqa: PLC0415 - it imports every rule

    if options.id is None:
        print(*RULES, sep="\n")
        return WELL
    wanted = options.id.strip("[]").lower()
    if wanted not in RULES:
        near = get_close_matches(wanted, RULES, 1)
        hint = f"did you mean {near[0]}?" if near else "`flycast-probe explain` lists them"
        raise UsageError(f"expected the id of a rule, got {options.id!r:.60}; {hint}")
    print(page_of(RULES[wanted]).removeprefix("## "), end="")
    return WELL
