"""A Dockerfile, of which the lab wants the command: words, whatever is in it, and soon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.dockerfile import image_command
from tests.fuzz.target import Broken, pure

if TYPE_CHECKING:
    from collections.abc import Hashable


def _check(data: bytes) -> Hashable:
    command = image_command(data.decode("utf-8", "replace"))
    if not all(isinstance(word, str) for word in command):
        raise Broken(f"not all words: {command!r}")
    return min(len(command), 5), command[:1] == ("/bin/sh",)


TARGET = pure("dockerfile", _check, 125)
