r"""TOML 1.1 written as TOML 1.0: flyctl reads 1.1 (its library does since June 2026), Python's tomllib only 1.0.

Rules (toml.io, "What's new" of 1.1.0)
- Line ends, comments and a last comma in inline tables; the escapes `\e` and `\xHH`; times without seconds.
- All of it is a matter of tokens: no table is understood here, and what is no TOML stays so.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r'''#[^\n]*|"""(?:[^\\]|\\.)*?(?:"{3,5}|\Z)|\'{3}.*?(?:\'{3,5}|\Z)|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?|[][{},]|\s+|[^][{},"'#\s]+|.''',
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:(e)|x([0-9A-Fa-f]{2})|.)", re.DOTALL)
_NO_SECONDS = re.compile(r"(?<![\d:+-])(\d\d:\d\d)(?![\d:])", re.ASCII)
_DEEPEST = 64  # what is open further out is not looked at: the file is refused for it anyway


def as_1_0(text: str) -> str:
    """Return `text` as TOML 1.0, on fewer lines, when it is TOML 1.1."""
    written: list[str] = []
    solid: list[int] = []  # where in `written` there is neither space nor comment
    opened: list[str] = []  # the brackets and braces that are open
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token[0] == "#" or token.isspace():
            written.append(" " if "{" in opened[-_DEEPEST:] else token)
            continue
        if token in ("[", "{"):
            opened.append(token)
        elif token in ("]", "}") and opened:
            if opened.pop() == "{":
                _drop_last_comma(written, solid)
        elif token[0] == '"':
            token = _ESCAPE.sub(_older_escape, token)
        elif token[0] != "'":
            token = _NO_SECONDS.sub(r"\1:00", token)
        solid.append(len(written))
        written.append(token)
    return "".join(written)


def _drop_last_comma(written: list[str], solid: list[int]) -> None:
    last = [written[at] for at in solid[-2:]]
    if last[-1:] == [","] and last != ["{", ","]:
        written[solid[-1]] = ""


def _older_escape(match: re.Match[str]) -> str:
    if match[1]:
        return r"\u001b"
    return rf"\u00{match[2]}" if match[2] else match[0]
