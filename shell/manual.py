"""docs/probe.md, made of the parsers and of the records' own descriptions: `python -m shell.manual > docs/probe.md`."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from inspect import getdoc
from typing import TYPE_CHECKING

from shell.options import COMMANDS, parser_of

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDS = {
    "names": "shell.names.record",
    "wake": "shell.wake.record",
    "hello": "shell.hello.record",
    "watch": "shell.watch.lines",
    "doctor": "shell.doctor.record",
    "check": "shell.check.record",
}
_HEAD = """\
# flycast-probe

For the person at a shell Machine or on a laptop: what the private network's DNS says, how long a wake takes and where
the time goes, why an app cannot be reached, who is asleep, and whether fly.toml is right. This page is made
by `python -m shell.manual`.

Data goes to stdout, progress and complaints to stderr.

| exit status | means |
|---|---|
| 0 | well |
| 1 | what was asked about is not well, or cannot be seen from here |
| 2 | usage |
| 3 | over budget |
| 130 | interrupted |
"""


def manual() -> str:
    """Return the page as Markdown."""
    (commands,) = (it for it in parser_of()._actions if isinstance(it, argparse._SubParsersAction))  # noqa: SLF001 - argparse offers no other view
    parts = [_HEAD]
    for name, summary in COMMANDS.items():
        parts += _section(name, summary, commands.choices[name])
    return "\n".join(parts)


def _section(name: str, summary: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"## {name}\n\n{summary[0].upper()}{summary[1:]}.\n"
    yield "| argument | meaning |\n|---|---|"
    yield from (f"| {_words(action)} | {action.help} |" for action in parser._actions)  # noqa: SLF001
    yield f"\n```text\n{(parser.epilog or '').strip()}\n```\n"
    if name in RECORDS:
        yield f"### JSON of {name}\n\n```text\n{getdoc(import_module(RECORDS[name]))}\n```\n"
    if name == "check":
        yield "The rules are in [rules.md](rules.md).\n"


def _words(action: argparse.Action) -> str:
    value = action.metavar or ("|".join(action.choices) if action.choices else action.dest.upper())
    shown = str(value).replace("|", "\\|")
    if not action.option_strings:
        return f"`{shown}`"
    takes = "" if action.nargs == 0 else f" {shown}"
    return ", ".join(f"`{option}{takes}`" for option in action.option_strings)


if __name__ == "__main__":
    sys.stdout.write(manual())
