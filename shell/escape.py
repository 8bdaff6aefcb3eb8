r"""What came from the network is data, never terminal control.

Rule: whatever is not printable (C0 and C1 controls, DEL, escape, bidirectional overrides, line separators,
lone surrogates) is written as its code, `\x1b` or `\u202e`; a backslash is doubled, so nothing can pass for
an escape that was not there.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """Return `text` safe to write to a terminal."""
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
