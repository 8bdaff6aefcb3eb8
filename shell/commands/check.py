"""`check`: what breaks an app or exposes it, in its fly.toml and in its addresses."""

from __future__ import annotations

import re
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from shell.errors import UsageError
from shell.escape import printable
from shell.output import NOT_WELL, WELL, open_screen, print_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from shell.check.addresses import Address
    from shell.check.finding import Finding
    from shell.check.judge import Judgement

EPILOG = """\
examples:
  flycast-probe check                        ./fly.toml: every finding with line, reason and fix
  flycast-probe check --private              what exposes a private app, or breaks Flycast, is an error
  flycast-probe check --fix                  write the safe fixes back, comments stay; show them as a diff
  fly ips list --json | flycast-probe check --ips -      no address but a private one?
  flycast-probe check --format sarif > check.sarif       for code scanning; github: annotations in a workflow
  flycast-probe check deploy/fly.toml --json | jq -r '.findings[].id'
  flycast-probe explain force-https          what a finding means

An error is what breaks the app or exposes it; advice is a warning. What only a private app must not have, an https
redirect or a public address, is an error where the app is known to be private: with --private, for the service of this
blueprint, with a private_v6 address in --ips, or where fly.toml names the app's own .flycast name. Egress addresses
are no way in, and are not complained of.

It asks nobody: no account, no network. Status 1 when there is an error, with --strict also for a warning; 2 when a file
cannot be read.
"""
FORMATS = ("text", "json", "sarif", "github")
_OPEN_ALREADY = re.compile(r"/dev/stdin|/(?:dev|proc/self)/fd/\d+")  # the second as in `--ips <(fly ips list --json)`
_OTHERS = ("fly.json", "fly.yaml", "fly.yml")

# ruff: noqa: PLC0415


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `check` takes."""
    parser.add_argument("file", nargs="?", metavar="FILE", default="fly.toml", help="the file to check (./fly.toml)")
    parser.add_argument("--ips", metavar="FILE|-", help="also check the output of `fly ips list --json`; -: from stdin")
    parser.add_argument("--private", action="store_true", help="the app is to be private, whatever the file says")
    parser.add_argument("--fix", action="store_true", help="write the safe fixes into the file, and check again")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors for the exit status")
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--format", choices=FORMATS, default="text", help="what to print (text)")
    formats.add_argument(
        "--json",
        action="store_const",
        dest="format",
        const="json",
        help="one JSON object on stdout, with schema_version",
    )
    parser.add_argument("--no-color", action="store_true", help="no colour (also: NO_COLOR)")


def run(options: argparse.Namespace) -> int:
    """Judge, mend where that is asked for, show, and say whether all is well."""
    from shell.check.addresses import shows_private
    from shell.check.finding import Severity
    from shell.check.judge import judge

    path = _path(options.file)
    addresses = None if options.ips is None else _addresses(options.ips)
    said_private = options.private or shows_private(addresses or ())
    judgement = judge(path, said_private=said_private)
    diff = []
    if options.fix and any(finding.edits for finding in judgement.findings):
        diff = _mend(path, judgement.findings)
        judgement = judge(path, said_private=said_private)
    findings = [*judgement.findings, *_of_addresses(options.ips, addresses, judgement)]
    bad = {Severity.ERROR, Severity.WARNING} if options.strict else {Severity.ERROR}
    ok = not any(finding.severity in bad for finding in findings)
    _show(options, judgement, findings, diff, ok=ok)
    return WELL if ok else NOT_WELL


def _path(name: str) -> Path:
    path = Path(name)
    if path.is_dir():
        path /= "fly.toml"
    if not path.exists():
        others = [other for other in _OTHERS if (path.parent / other).is_file()]
        hint = f"; {path.parent / others[0]} is there, and only TOML is read" if others else ""
        raise UsageError(f"{path}: expected a fly.toml, got no such file{hint}")
    return path


def _mend(path: Path, findings: Sequence[Finding]) -> list[str]:
    """Write the safe fixes; return what changed."""
    from shell.check.fixes import difference, mended
    from shell.flytoml import document
    from shell.whole_file import write_whole

    before = document(path).text
    after = mended(before, findings)
    if after != before:
        write_whole(path.resolve(), after)
    return difference(str(path), before, after)


def _addresses(name: str) -> tuple[Address, ...]:
    from shell.check.addresses import MAX_BYTES, addresses_in

    try:
        with _opened(name) as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"--ips: cannot read {name or 'a file without a name'}: {error.strerror}") from error
    return addresses_in(content)


def _of_addresses(name: str, addresses: Sequence[Address] | None, judgement: Judgement) -> list[Finding]:
    from dataclasses import replace

    from shell.check.addresses import judge_addresses

    if addresses is None:
        return []
    file = "fly ips list" if name == "-" else name
    found = judge_addresses(addresses, judgement.app_name)
    return [replace(judgement.kind_of_app.weighed(finding), file=file) for finding in found]


def _opened(name: str) -> AbstractContextManager[BinaryIO]:
    """Open the file, or the pipe that the shell has opened for this process."""
    from shell.flytoml.regular_file import open_regular

    if name == "-":
        return nullcontext(sys.stdin.buffer)
    return Path(name).open("rb") if _OPEN_ALREADY.fullmatch(name) else open_regular(Path(name))


def _show(
    options: argparse.Namespace, judgement: Judgement, findings: Sequence[Finding], diff: Sequence[str], *, ok: bool
) -> None:
    if options.format == "json":
        from shell.check.record import check_record

        print_json(check_record(judgement, findings, ok=ok, diff=diff))
    elif options.format == "text":
        from shell.check.report import show_diff, show_findings, show_sum

        screen = open_screen(options)
        show_diff(screen, diff)
        show_findings(screen, findings)
        names = [str(judgement.path), *(["its addresses"] if options.ips is not None else [])]
        show_sum(screen, names, findings, mended=options.fix)
    else:
        _show_to_program(options.format, findings)
        for line in diff:
            print(printable(line), file=sys.stderr)


def _show_to_program(form: str, findings: Sequence[Finding]) -> None:
    if form == "sarif":
        from shell.check.catalog import RULES
        from shell.check.sarif import sarif

        print_json(sarif(tuple(RULES.values()), findings))
    else:
        from shell.check.github import annotation

        for finding in findings:
            print(annotation(finding))
