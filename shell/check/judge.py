"""From the path of a fly.toml to everything that is wrong with it.

Rules
- flyctl's own verdict comes first: what flyctl cannot load or parse has no meaning that a rule could judge.
- A warning of flyctl's is told unless a rule has more to say about the same line.
- A finding is placed at the line of its key path, and findings are told in the order of the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shell.check.finding import Scope, error, warning
from shell.check.kind_of_app import KindOfApp, kind_of_app
from shell.check.rules import (
    checks,
    durations,
    environment,
    keys,
    launch,
    leaving,
    load,
    machine,
    ports,
    sleeping,
    ways_in,
)
from shell.check.subject import Subject
from shell.errors import UsageError
from shell.flytoml import FlyTomlError, ShapeError, document
from shell.flytoml.config import from_document
from shell.flytoml.document import NotTomlError, UnreadableError
from shell.flytoml.regular_file import open_regular
from shell.flytoml.verdict import Kind, verdict, verdict_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from shell.check.finding import Finding, Rule
    from shell.flytoml import Document
    from shell.flytoml.verdict import Said, Verdict

_FAMILIES = (ways_in, ports, sleeping, load, leaving, durations, checks, environment, launch, machine, keys)
FLYCTL = error(
    "flyctl",
    "flyctl refuses the file: neither `fly launch` nor `fly deploy` gets past it.",
    "Correct what flyctl names, then check again.",
)
FLYCTL_WARNING = warning(
    "flyctl-warning",
    "flyctl takes the file, and does not quite do what it says.",
    "Correct what flyctl names, or accept what flyctl makes of it.",
)
UNJUDGED = error(
    "unjudged",
    "flyctl takes a value of this type, and no rule can read it: nothing else in the file was judged.",
    "Write the value as the type that the message names, then check again.",
    Scope.PRIVATE,
)
RULES: tuple[Rule, ...] = (FLYCTL, FLYCTL_WARNING, UNJUDGED, *(rule for family in _FAMILIES for rule in family.RULES))
_MOST_BYTES = 1 << 16  # of a Dockerfile: EXPOSE and CMD stand in its first screens


@dataclass(frozen=True, slots=True)
class Judgement:
    """What flyctl says of the file, whose app it is, and every finding; `app_name` is "" where the file tells none."""

    path: Path
    app_name: str
    kind_of_app: KindOfApp
    verdict: Verdict
    findings: tuple[Finding, ...]


def judge(path: Path, *, said_private: bool = False) -> Judgement:
    """Judge one file; raise `UsageError` when it cannot be read.

    `said_private`: the user, or a private address of the app, says that the app is private.
    """
    unread = KindOfApp(is_private=said_private)
    try:
        found = document(path)
    except UnreadableError as error:
        raise UsageError(str(error)) from error
    except NotTomlError:
        return _refused(path, unread, verdict(path))
    said = verdict_of(found)
    if said.kind in {Kind.LOAD_ERROR, Kind.PARSE_ERROR}:
        return _refused(path, unread, said)
    try:
        subject = _subject(found, said_private=said_private)
        app_name, kind, broken = subject.fly_toml.app_name, subject.kind, _by_the_rules(subject)
    except ShapeError as error:
        app_name, kind, broken = "", unread, [UNJUDGED.broken(error.where, str(error), "write it as that type")]
    own = [_placed(kind.weighed(finding), found) for finding in broken]
    lines = {finding.line for finding in own}
    warnings = [message for message in said.warnings if message.line not in lines]
    findings = [*_of_flyctl(path, FLYCTL, said.errors), *_of_flyctl(path, FLYCTL_WARNING, warnings), *own]
    in_order = sorted(findings, key=lambda finding: finding.line)
    return Judgement(path, app_name, kind, said, tuple(in_order))


def _refused(path: Path, kind: KindOfApp, said: Verdict) -> Judgement:
    return Judgement(path, "", kind, said, tuple(_of_flyctl(path, FLYCTL, said.errors)))


def _of_flyctl(path: Path, rule: Rule, messages: Iterable[Said]) -> Iterator[Finding]:
    for message in messages:
        text = " ".join(message.text.split())
        finding = rule.broken(message.where, text, "correct what flyctl names, then check again")
        yield replace(finding, file=str(path), line=message.line)


def _placed(finding: Finding, found: Document) -> Finding:
    line = found.lines.line_of(finding.where) if finding.where else 1
    return replace(finding, file=str(found.path), line=line)


def _subject(found: Document, *, said_private: bool) -> Subject:
    """Return what the rules look at; raise `ShapeError` for a type that no rule can read."""
    try:
        fly_toml = from_document(found)
    except FlyTomlError as error:
        raise (error.__cause__ if isinstance(error.__cause__, ShapeError) else error) from None
    dockerfile = _text(fly_toml.dockerfile)
    return Subject.of(found, fly_toml, dockerfile, kind_of_app(fly_toml, dockerfile, said_private=said_private))


def _by_the_rules(subject: Subject) -> list[Finding]:
    return [finding for family in _FAMILIES for finding in family.findings(subject)]


def _text(dockerfile: Path | None) -> str | None:
    """Return the text of a Dockerfile; what is not there or no file is the build's affair."""
    if dockerfile is None:
        return None
    try:
        with open_regular(dockerfile) as file:
            return file.read(_MOST_BYTES).decode(errors="replace")
    except (OSError, ValueError):  # ValueError for a name with NUL in it
        return None
