"""Why a command line cannot be split, in the words of the Go library that flyctl splits with (google/shlex)."""

from __future__ import annotations

import re
from enum import Enum, auto

_SPACE = " \t\r\n"


class _In(Enum):
    SPACE = auto()
    WORD = auto()
    SINGLE = auto()
    DOUBLE = auto()


_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\n]*(?:\n|\Z))*")


def why_not_split(command: str) -> str:
    """Return the reason, "" when the command can be split; a `#` between words begins a comment."""
    state, at = _In.SPACE, 0
    while at < len(command):
        if state is _In.SPACE:
            between = _BETWEEN.match(command, at)
            at, state = between.end() if between else at, _In.WORD
            continue
        character = command[at]
        if character == "\\" and state is not _In.SINGLE:
            at += 1
            if at == len(command):
                return "EOF found after escape character"
        elif state is _In.WORD:
            state = {"'": _In.SINGLE, '"': _In.DOUBLE}.get(character, _In.SPACE if character in _SPACE else state)
        elif character == ("'" if state is _In.SINGLE else '"'):
            state = _In.WORD
        at += 1
    return "EOF found when expecting closing quote" if state in (_In.SINGLE, _In.DOUBLE) else ""
