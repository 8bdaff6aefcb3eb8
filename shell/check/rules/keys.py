"""Keys that flyctl silently does nothing with.

Rules (docs/fly.md, "fly.toml")
- Unknown keys are ignored: a misspelt key, or one in the wrong section, says nothing at all.
- The case of a key does not matter to `fly deploy`, but `fly config validate --strict` and other tools mind.
- A key that resembles none is left alone: it may be newer than this table.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from shell.check.finding import warning
from shell.check.known_keys import ELSEWHERE_CALLED, FREE, NO_KEYS, SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shell.check.finding import Finding
    from shell.check.subject import Subject

_ALIKE = 0.8

UNKNOWN_KEY = warning(
    "unknown-key",
    "flyctl ignores keys that it does not know and says nothing, so this one does nothing.",
    "Correct the spelling, move the key to its section, or take it out; see `fly config validate --strict`.",
)
KEY_CASE = warning(
    "key-case",
    "flyctl reads it, but its own --strict check and other tools do not know the key.",
    "Write the key in small letters.",
)
RULES = (UNKNOWN_KEY, KEY_CASE)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge the spelling and the place of every key."""
    yield from _of_table(subject.raw, "", "")


def _of_table(values: Mapping[str, Any], section: str, where: str) -> Iterator[Finding]:
    for key, value in values.items():
        place = f"{where}.{key}" if where else key
        if key.lower() not in SECTIONS[section]:
            yield from _never_was(key, value, place) or _unknown(key, section, place)
            continue
        if not key.islower():
            yield KEY_CASE.broken(place, f"expected {key.lower()}, got {key:.60}", key.lower())
        inner = f"{section}.{key.lower()}" if section else key.lower()
        yield from _within(value, inner, place)


def _within(value: object, section: str, place: str) -> Iterator[Finding]:
    if section in FREE:
        return
    if section == "checks" and isinstance(value, dict):
        for name, check in value.items():
            yield from _within(check, "checks.*", f"{place}.{name}")
    elif section in SECTIONS and isinstance(value, dict):
        yield from _of_table(value, section, place)
    elif section in SECTIONS and isinstance(value, list):
        for number, item in enumerate(value):
            if isinstance(item, dict):
                yield from _of_table(item, section, f"{place}[{number}]")


def _never_was(key: str, value: object, place: str) -> list[Finding]:
    """Judge a key that many files have and flyctl does not know; an empty one, of an old template, asks for nothing."""
    name = key.lower()
    known = name in NO_KEYS and value not in ([], {}, "")
    return [UNKNOWN_KEY.broken(place, f"fly.toml has no key {name}", NO_KEYS[name])] if known else []


def _unknown(key: str, section: str, place: str) -> Iterator[Finding]:
    plain = key.lower().replace("-", "_")
    here = SECTIONS[section]
    meant = (
        [ELSEWHERE_CALLED[plain]] if ELSEWHERE_CALLED.get(plain) in here else get_close_matches(plain, here, 1, _ALIKE)
    )
    homes = [] if meant else [name for name, keys in SECTIONS.items() if plain in keys and name != section]
    holder = f"[{section}]" if section else "the top of the file"
    if meant:
        yield UNKNOWN_KEY.broken(place, f"expected a key of {holder}, got {key:.60}", f"did you mean {meant[0]}?")
    elif homes:
        shown = " or ".join(f"[{name}]" if name else "the top of the file, before any [section]" for name in homes[:3])
        yield UNKNOWN_KEY.broken(place, f"expected a key of {holder}, got {key:.60}", f"it belongs in {shown}")
