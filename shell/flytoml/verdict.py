"""What flyctl would say of a fly.toml: `fly config validate`, without flyctl, a token or a network.

Rules (docs/fly.md, "fly.toml")
- TOML, then the mending of old files, then types, then rules: the first stage that refuses has the last word.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from shell.flytoml.document import NotTomlError, document
from shell.flytoml.gotypes import TypeMistakeError, decoded
from shell.flytoml.keypaths import key_paths
from shell.flytoml.patches import PatchError, patched
from shell.flytoml.validation import messages

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from shell.flytoml.document import Document


_KEY = re.compile(r"""(?:[^=]*\.)?[ \t]*["']?([^="'.]*?)["']?[ \t]*=""")


class Kind(StrEnum):
    """How far flyctl gets: not TOML, a wrong type or shape, a broken rule, or none of them."""

    LOAD_ERROR = "load_error"
    PARSE_ERROR = "parse_error"
    INVALID = "invalid"
    VALID = "valid"


@dataclass(frozen=True, slots=True)
class Said:
    """One message of flyctl's, with the line and the key path it is about."""

    text: str
    line: int
    where: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """flyctl's verdict: `errors` is empty when the file is valid, `warnings` may not be."""

    kind: Kind
    errors: tuple[Said, ...] = ()
    warnings: tuple[Said, ...] = ()


def verdict(path: Path) -> Verdict:
    """Return what flyctl would say of a file; raise `FlyTomlError` when it cannot even be read."""
    try:
        return verdict_of(document(path))
    except NotTomlError as error:
        return Verdict(Kind.LOAD_ERROR, (Said(_not_toml(error), error.line),))


def verdict_of(found: Document) -> Verdict:
    """Return what flyctl would say of a document."""
    tree = deepcopy(found.tree)
    places = {id(value): where for value, where in key_paths(tree) if isinstance(value, dict)}
    try:
        mended = patched(tree)
        config = decoded(mended, places)
    except (PatchError, TypeMistakeError) as error:
        return Verdict(Kind.PARSE_ERROR, (_said(found, str(error), error.where),))
    moved = {
        f"{key}[{number}]": places[id(table)]
        for key in ("services", "mounts")
        for number, table in enumerate(mended.get(key, ()))
    }
    told = [(_said(found, one.text, _unmoved(one.where, moved)), one.warning) for one in messages(config)]
    errors = tuple(said for said, warning in told if not warning)
    return Verdict(Kind.INVALID if errors else Kind.VALID, errors, tuple(said for said, warning in told if warning))


def _said(found: Document, text: str, where: str) -> Said:
    return Said(text, found.lines.line_of(where), where)


def _unmoved(where: str, moved: Mapping[str, str]) -> str:
    """Return where a table stands in the file that was counted without empty ones, or came under another name."""
    entry, bracket, rest = where.partition("]")
    return moved.get(entry + bracket, entry + bracket) + rest


def _not_toml(error: NotTomlError) -> str:
    """Word an error of syntax by its place; flyctl's own words are known for what is defined twice only."""
    if error.reason == "Cannot overwrite a value" and (key := _KEY.match(error.source)):
        return f"toml: key {key[1]} is already defined"
    return f"row {error.line} column {error.column}: {error.reason}"
