"""`names`: what the private network's DNS says of an app, of one name, or of the organisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.arguments import add_common, app_name
from shell.output import NOT_WELL, WELL, complain, open_screen, print_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from shell.names.survey import Ask, Survey

EPILOG = """\
examples:
  flycast-probe names my-app                 all .internal and .flycast names of my-app
  flycast-probe names my-app.flycast         one name (it contains a dot): AAAA and TXT
  flycast-probe names --org                  the organisation's apps, Machines, WireGuard peers and API
  flycast-probe names my-app --json | jq '.surveys[0].machines'
  flycast-probe names my-app --dns fdaa:0:18::3      over WireGuard
"""

# ruff: noqa: PLC0415


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `names` takes."""
    add_common(parser)
    parser.add_argument(
        "subjects", type=_subject, nargs="*", metavar="APP|NAME", help="an app, or a name with a dot in it"
    )
    parser.add_argument(
        "--org", action="store_true", help="the organisation's names, too: its apps, Machines, WireGuard peers and API"
    )


def run(options: argparse.Namespace) -> int:
    """Ask, show, and say whether all is well."""
    from shell.errors import UsageError
    from shell.resolve import open_resolver

    if not options.subjects and not options.org:
        raise UsageError("expected an APP, a NAME with a dot in it, or --org, got nothing")
    surveys = []
    for found in _surveys(options, open_resolver(options.dns).ask):
        for text in filter(None, (found.remark, *found.passed_over, found.trouble)):
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


def _surveys(options: argparse.Namespace, ask: Ask) -> Iterator[Survey]:
    from shell.names.survey import survey, survey_organisation

    for subject in options.subjects:
        yield survey(subject, ask)
    if options.org:
        yield survey_organisation(ask)


def _subject(text: str) -> str:
    return text if "." in text else app_name(text)
