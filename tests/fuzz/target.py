"""What can be fuzzed: a reader of bytes from outside, and what must hold whatever it is given."""

from __future__ import annotations

import ast
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from contextlib import AbstractContextManager

    Check = Callable[[bytes], Hashable]

CORPUS = Path(__file__).parent / "corpus"
TOKENS = Path(__file__).parent / "tokens"
FOUND = "found-"


class Broken(AssertionError):  # noqa: N818 - a sentence: the promise is broken
    """The reader did what it must not; its first words name the promise, so that a shorter input can be compared."""


@dataclass(frozen=True, slots=True)
class Target:
    """A reader under test.

    `opened` makes ready and yields the check: it feeds the reader one input, raises for a broken promise, and returns
    what kind of outcome it was. `executions` are how many fit into a second or two.
    """

    name: str
    opened: Callable[[], AbstractContextManager[Check]]
    executions: int

    @property
    def tokens(self) -> list[bytes]:
        """The words of its format, as many as are worth putting in."""
        return [ast.literal_eval(line) for line in (TOKENS / self.name).read_text(encoding="ascii").splitlines()]

    @property
    def folder(self) -> Path:
        """Where its inputs are kept, those that once broke it among them."""
        return CORPUS / self.name

    def corpus(self) -> dict[str, bytes]:
        """Return every kept input by its name."""
        return {path.name: path.read_bytes() for path in sorted(self.folder.iterdir())}


def pure(name: str, check: Check, executions: int) -> Target:
    """Return the target for a reader that needs nothing around it."""
    return Target(name, lambda: nullcontext(check), executions)


def kind(error: BaseException) -> str:
    """Return what an error says, without what only this input made it say."""
    words = "".join(" " if not letter.isalpha() else letter for letter in str(error)).split()
    return f"{type(error).__name__} {' '.join(words[:4])}"
