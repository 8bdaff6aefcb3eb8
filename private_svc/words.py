"""A conversation of one side on the raw port, such as hello."""

from __future__ import annotations


class Words:
    """These bytes to whoever connects, then the end; a few, because what the kernel does not take at once is lost."""

    __slots__ = ("said",)

    def __init__(self, said: bytes) -> None:
        self.said = said


HELLO = Words(b"hello\n")  # where RAW names no handler of yours
