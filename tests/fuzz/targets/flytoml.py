"""fly.toml as `check` and the lab read it: judged or refused in words, with lines that are in the file."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shell.check.judge import RULES, judge
from shell.check.record import check_record
from shell.check.sarif import sarif
from shell.errors import UsageError
from shell.flytoml import FlyTomlError, read
from tests.fuzz.target import Broken, Target, kind

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from tests.fuzz.target import Check


@contextmanager
def _opened() -> Iterator[Check]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "fly.toml")
        yield lambda data: _check(path, data)


def _check(path: Path, data: bytes) -> Hashable:
    path.write_bytes(data)
    try:
        read(path)
        outcome = "read"
    except FlyTomlError as error:
        outcome = kind(error)
        if not str(error).isprintable() or len(str(error)) > 1000 + len(str(path)):
            raise Broken(f"unprintable: an error of {len(str(error))} characters, {str(error)[:300]!r}") from error
    try:
        judged = judge(path)
    except UsageError as error:
        return outcome, kind(error)
    lines = data.count(b"\n") + 1
    for finding in judged.findings:
        if not 0 <= finding.line <= lines:
            raise Broken(f"line {finding.line} of {lines}: {finding}")
    json.dumps(sarif(RULES, judged.findings))
    json.dumps(check_record(judged, judged.findings, ok=False, diff=()))
    return outcome, judged.verdict.kind, frozenset(finding.rule.id for finding in judged.findings)


TARGET = Target("flytoml", _opened, 60)
