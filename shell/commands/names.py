"""`names`: what the private network's DNS says of an app, or of one name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.arguments import add_common, app_name
from shell.output import NOT_WELL, WELL, complain, open_screen, print_json

if TYPE_CHECKING:
    import argparse

EPILOG = """\
examples:
  flycast-probe names my-app                 all .internal and .flycast names of my-app
  flycast-probe names my-app.flycast         one name (it contains a dot): AAAA and TXT
  flycast-probe names my-app --json | jq '.surveys[0].machines'
  flycast-probe names my-app --dns fdaa:0:18::3      over WireGuard
"""

# ruff: noqa: PLC0415


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `names` takes."""
    add_common(parser)
    parser.add_argument(
        "subjects", type=_subject, nargs="+", metavar="APP|NAME", help="an app, or a name with a dot in it"
    )


def run(options: argparse.Namespace) -> int:
    """Ask, show, and say whether all is well."""
    from shell.names.survey import survey
    from shell.resolve import open_resolver

    resolver = open_resolver(options.dns)
    surveys = []
    for subject in options.subjects:
        found = survey(subject, resolver.ask)
        for text in filter(None, (found.remark, found.trouble)):
            complain(text)
        surveys.append(found)
    if options.json:
        from shell.names.record import names_record

        print_json(names_record(surveys))
    else:
        from shell.names.report import show_survey

        screen = open_screen(options)
        for found in surveys:
            show_survey(screen, found)
    return NOT_WELL if any(found.trouble for found in surveys) else WELL


def _subject(text: str) -> str:
    return text if "." in text else app_name(text)
