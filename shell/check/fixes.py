"""Write the safe fixes into fly.toml; comments, order and layout stay.

Rules
- Safe is what means the same, or what the file already claims: everything else only a person can decide.
- Of two fixes at one place the one of an error counts.
- The new text must say what the old one said, but for the fixes; else it is not used.
"""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from shell.check.finding import Edit, Severity
from shell.errors import NotWellError

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    from shell.check.finding import Finding

_LONE_LF = re.compile(r"(?<!\r)\n")
_STEP = re.compile(r"([^.\[\]]+)((?:\[[0-9]+\])*)")


def mended(text: str, findings: Iterable[Finding]) -> str:
    """Return the text with every safe fix in it; raise `NotWellError` where they cannot be written."""
    edits = _edits(findings)
    if not edits:
        return text
    wanted = tomllib.loads(text)
    try:
        document = tomlkit.parse(text)
        for edit in edits:
            with suppress(LookupError):  # a name with a dot in it: left for a person
                _write(wanted, edit)
                _write(document, edit)
        new = _with_line_ends_of(text, document.as_string())
        if tomllib.loads(new) == wanted:
            return new
    except (TOMLKitError, ValueError, TypeError) as error:
        raise NotWellError(f"--fix: cannot write into this file, nothing was changed: {error}") from error
    raise NotWellError("--fix: cannot write into this file without changing more than was meant, nothing was changed")


def _with_line_ends_of(text: str, new: str) -> str:
    windows = text.count("\r\n")
    return _LONE_LF.sub("\r\n", new) if windows and windows == text.count("\n") else new


def difference(name: str, before: str, after: str) -> list[str]:
    """Return the lines of a unified diff; what stands beside a change is left out, it may be a secret."""
    lines = unified_diff(before.splitlines(), after.splitlines(), name, f"{name}, mended", lineterm="", n=0)
    return list(lines)


def _edits(findings: Iterable[Finding]) -> list[Edit]:
    by_place: dict[str, Edit] = {}
    for finding in sorted(findings, key=lambda finding: finding.severity is Severity.ERROR):
        by_place |= {edit.where: edit for edit in finding.edits}
    return list(by_place.values())


def _write(root: MutableMapping[str, Any], edit: Edit) -> None:
    *path, (last, _) = [(match[1], re.findall(r"[0-9]+", match[2])) for match in _STEP.finditer(edit.where)]
    table: Any = root
    for name, numbers in path:
        if table is root and _key(root, name) not in root:
            root[name] = {}
        table = table[_key(table, name)]
        for number in numbers:
            table = table[int(number)] if isinstance(table, list) else table
    table[_key(table, last)] = edit.value


def _key(table: MutableMapping[str, Any], name: str) -> str:
    """Return the key as the file spells it; of two that differ only in case, the one that counts."""
    return max((key for key in table if key.lower() == name.lower()), default=name)
