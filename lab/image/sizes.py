"""What an image weighs: `python -m lab.image.sizes NAME` prints its layers, each with its compressed size and share.

Compressed, because that is what a push and the first start of a Machine carry. A layer that is not compressed here is,
for counting, as `docker push` would do it.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.image.archive import opened, read
from lab.image.storage import open_archive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from lab.image.archive import Image

_GZIP = b"\x1f\x8b"
_PIECE_BYTES = 1024 * 1024
_COLUMNS = 96


def compressed_bytes(image: Image) -> list[int]:
    """Return how many bytes each layer takes, compressed."""
    with opened(image.file) as archive:
        return [_compressed(archive.extractfile(layer.member), layer.stored_bytes) for layer in image.layers]


def _compressed(layer: IO[bytes] | None, stored_bytes: int) -> int:
    if layer is None:
        return 0
    begin = layer.read(_PIECE_BYTES)
    if begin.startswith(_GZIP):
        return stored_bytes
    compressor = zlib.compressobj(wbits=31)
    total = len(compressor.compress(begin))
    while piece := layer.read(_PIECE_BYTES):
        total += len(compressor.compress(piece))
    return total + len(compressor.flush())


def table(image: Image) -> list[str]:
    """Return the lines that show what the image weighs."""
    sizes = compressed_bytes(image)
    total = sum(sizes)
    lines = [f"{'MB':>6} {'share':>6}  made by"]
    for layer, size in zip(image.layers, sizes, strict=True):
        made_by = " ".join(layer.made_by.removeprefix("/bin/sh -c ").removeprefix("#(nop) ").split()) or "(the base)"
        lines.append(f"{size / 1e6:6.2f} {size / total:6.1%}  {made_by[:_COLUMNS]}")
    return [*lines, f"{total / 1e6:6.2f} {1:6.1%}  {image.name}, compressed"]


def main(arguments: Sequence[str]) -> int:
    """Print the table of the one image that is named; return the exit status."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m lab.image.sizes NAME", file=sys.stderr)
        return 2
    try:
        print("\n".join(table(read(arguments[0], open_archive(arguments[0])))))
    except LabError as error:
        print(f"lab.image.sizes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
