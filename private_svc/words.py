"""A fixed reply on the raw port, such as hello."""

from __future__ import annotations

AT_MOST = 4096


class Words:
    """The bytes that every caller gets before the connection is closed.

    They are sent in one call, so there is a limit, `AT_MOST`, that every socket buffer has room for.
    """

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        if len(content) > AT_MOST:
            raise ValueError(f"expected at most {AT_MOST} bytes, got {len(content)}")
        self.content = content


HELLO = Words(b"hello\n")  # where RAW names no handler of yours
