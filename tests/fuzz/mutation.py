"""Inputs that are nearly right: known good ones, changed a little, again and again. Pure, but for its `rng`.

Rules
- The same seed gives the same inputs in the same order, on every machine.
- What made a target do something it had not done before becomes something to start from: that is how inputs get deep.
- An input stays below `MOST_BYTES`, unless what it came from was longer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

MOST_BYTES: Final = 64 * 1024
_MOST_KEPT: Final = 2000
_MOST_CHANGES: Final = 6
_BYTES: Final = tuple(
    bytes((value,)) for value in (0, 9, 10, 11, 13, 32, 34, 39, 44, 45, 48, 58, 59, 91, 127, 128, 255)
)
_NUMBERS: Final = (b"0", b"-1", b"+1", b"00", b"1e9", b"255", b"65535", b"65536", b"4294967296", b"9" * 19, b"9" * 400)
_NUMBER: Final = re.compile(rb"[0-9]+")


class Mutator:
    """Makes inputs out of `seeds` and `tokens`, the words of a format."""

    def __init__(self, seeds: Sequence[bytes], tokens: Sequence[bytes], rng: random.Random) -> None:
        self._known = list(seeds)
        self._tokens = (*tokens, *_BYTES)
        self._rng = rng
        self._changes: tuple[Callable[[bytes], bytes], ...] = (
            self._with_token, self._with_token, self._with_token_for_some, self._without_some, self._with_some_twice,
            self._with_one_other_byte, self._with_some_of_another, self._with_another_number, self._with_many_of_one,
            self._with_lines_swapped, self._cut_off,
        )  # fmt: skip

    def fresh(self) -> bytes:
        """Return another input."""
        data = self._rng.choice(self._known)
        for _ in range(self._rng.randint(1, _MOST_CHANGES)):
            changed = self._rng.choice(self._changes)(data)
            if len(changed) <= max(MOST_BYTES, len(data)):
                data = changed
        return data

    def keep(self, data: bytes) -> None:
        """Start from `data` too."""
        if len(self._known) < _MOST_KEPT:
            self._known.append(data)
        else:
            self._known[self._rng.randrange(_MOST_KEPT)] = data

    def _place(self, data: bytes) -> int:
        return self._rng.randint(0, len(data))

    def _part(self, data: bytes) -> tuple[int, int]:
        start = self._place(data)
        return start, min(len(data), start + self._rng.choice((1, 1, 2, 4, 16, len(data) or 1)))

    def _with_token(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + self._rng.choice(self._tokens) + data[at:]

    def _with_token_for_some(self, data: bytes) -> bytes:
        start, end = self._part(data)
        return data[:start] + self._rng.choice(self._tokens) + data[end:]

    def _without_some(self, data: bytes) -> bytes:
        start, end = self._part(data)
        return data[:start] + data[end:]

    def _with_some_twice(self, data: bytes) -> bytes:
        start, end = self._part(data)
        return data[:end] + data[start:]

    def _with_one_other_byte(self, data: bytes) -> bytes:
        if not data:
            return data
        at = self._rng.randrange(len(data))
        return data[:at] + bytes((data[at] ^ 1 << self._rng.randrange(8),)) + data[at + 1 :]

    def _with_some_of_another(self, data: bytes) -> bytes:
        other = self._rng.choice(self._known)
        start, end = self._part(other)
        at = self._place(data)
        return data[:at] + other[start:end] + data[self._rng.choice((at, len(data))) :]

    def _with_another_number(self, data: bytes) -> bytes:
        found = list(_NUMBER.finditer(data))
        if not found:
            return data
        one = self._rng.choice(found)
        number = self._rng.choice((*_NUMBERS, b"%d" % (int(one[0][:9]) + self._rng.choice((-1, 1)))))
        return data[: one.start()] + number + data[one.end() :]

    def _with_many_of_one(self, data: bytes) -> bytes:
        if not data:
            return data
        start, end = self._part(data)
        times = self._rng.choice((8, 64, 512, max(0, MOST_BYTES - len(data)) // max(1, end - start)))
        return data[:start] + data[start:end] * times + data[end:]

    def _with_lines_swapped(self, data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        if lines:
            one, other = self._rng.randrange(len(lines)), self._rng.randrange(len(lines))
            lines[one], lines[other] = lines[other], lines[one]
        return b"".join(lines)

    def _cut_off(self, data: bytes) -> bytes:
        return data[: self._place(data)]
