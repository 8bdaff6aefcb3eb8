"""What an image archive says of itself, to the lab: an image whose parts are of their types, or a refusal in words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.image.archive import read
from tests.fuzz.target import Broken, kind, pure

if TYPE_CHECKING:
    from collections.abc import Hashable

_LONGEST_ERROR = 2000


def _check(data: bytes) -> Hashable:
    file = os.memfd_create("image")
    try:
        os.write(file, _with_checksums(data))
        image = read("x", file)
    except UsageError as error:
        if len(str(error)) > _LONGEST_ERROR:
            raise Broken(f"an error of {len(str(error))} characters") from error
        return kind(error.__context__ or error)
    finally:
        os.close(file)
    words = (*image.entrypoint, *image.command, *image.env, *image.env.values(), image.user, image.directory)
    if not all(isinstance(word, str) for word in words) or not all(layer.stored_bytes >= 0 for layer in image.layers):
        raise Broken(f"of another type: {image}")
    return len(image.layers), bool(image.entrypoint), len(image.env)


def _with_checksums(data: bytes) -> bytes:
    """Make every header's checksum right, or nothing behind a changed one would be read."""
    blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
    for number, block in enumerate(blocks):
        if block[257:262] == b"ustar" and len(block) == 512:  # a tar's
            total = sum(block[:148]) + 8 * ord(" ") + sum(block[156:])
            blocks[number] = block[:148] + b"%06o\0 " % total + block[156:]
    return b"".join(blocks)


TARGET = pure("image", _check, 750)
