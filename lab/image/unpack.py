"""Unpacks the layers of an image into a directory, one over the other.

A process of its own does it, as a Machine's root and with the directory as its root: no name in a layer can lead out of
it, and owners are those that the Machine sees, where the host allows.  What an image may take is bounded
(`lab.image.allowance`): a layer is read to its end before anything of it is written, and the process may not use much
memory.  Capabilities of files are not kept.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import resource
import sys
import tarfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

from lab.errors import LabError
from lab.image.allowance import Allowance
from lab.image.archive import Entry, opened
from lab.image.changeset import apply
from lab.linux.privileges import stop_importing
from lab.start.confine import become_root_of
from lab.start.ids import of_machines

if sys.version_info >= (3, 14):
    from compression import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lab.image.archive import Image, Layer

MOST_MEMORY_BYTES = 1024**3  # more than the process that unpacks begins with; what it has unpacked is not counted
_PIECE_BYTES = 1024 * 1024
_MAGIC_BYTES = 6
_NO_TAR = (tarfile.ReadError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)
_COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
if sys.version_info >= (3, 14):
    _COMPRESSIONS[b"\x28\xb5\x2f\xfd"] = zstd.open


class _Counted:
    """A layer, decompressed: what is read of it counts, and what is passed over is read."""

    def __init__(self, stream: IO[bytes], allowance: Allowance) -> None:
        self.tell, self.seekable = stream.tell, stream.seekable
        self._stream = stream
        self._allowance = allowance

    def seek(self, position: int) -> int:
        at = self.tell()
        if position < at:
            at = self._stream.seek(0)
        while at < position and (piece := self.read(min(_PIECE_BYTES, position - at))):
            at += len(piece)
        return at

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        self._allowance.take(tar_bytes=len(piece))
        return piece


def unpack(image: Image, root: str, users: int | None) -> None:
    """Make the directory `root` of the image; raise `LabError` when a layer cannot be unpacked.

    `users` is the user namespace of a Machine, where Machines have one.
    """
    report, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(report)
        _work(image, root, users, write)
    os.close(write)
    with os.fdopen(report, errors="replace") as said:
        problem = said.read()
    _, status = os.waitpid(child, 0)
    os.close(image.file)
    if problem or status:
        raise LabError(f"image {image.name}: cannot be unpacked: {problem or f'wait status {status}'}")


def _work(image: Image, root: str, users: int | None, write: int) -> NoReturn:
    status = 1
    try:
        most = _address_space() + MOST_MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        with opened(image.file) as archive:
            os.umask(0o022)  # for directories that no layer describes
            os.makedirs(root)  # noqa: PTH103 - a string, as mount wants it
            if users is not None:
                os.chown(root, *of_machines().root)
                become_root_of(users)
            os.chroot(root)
            os.chdir("/")
            stop_importing()  # an import from here on would run a file of the image
            _lay_all(archive, image.layers)
        status = 0
    except (LabError, OSError, tarfile.TarError) as error:
        os.write(write, str(error).encode(errors="backslashreplace")[:4096])
    finally:
        os._exit(status)


def _address_space() -> int:
    """Return how many bytes of addresses this process has in use, as its parent had before it."""
    pages = Path("/proc/self/statm").read_text("ascii").split()[0]
    return int(pages) * resource.getpagesize()


def _lay_all(archive: tarfile.TarFile, layers: Iterable[Layer]) -> None:
    allowance = Allowance.of("/")
    for number, layer in enumerate(layers):
        try:
            with _tar_of(archive, layer, allowance) as tar:
                apply(tar, allowance)
        except Exception as error:  # whatever a hostile layer leads to
            raise LabError(f"layer {number}: {_in_words(error, allowance)}") from error


@contextmanager
def _tar_of(archive: tarfile.TarFile, layer: Layer, allowance: Allowance) -> Iterator[tarfile.TarFile]:
    stream = archive.extractfile(layer.member)
    if stream is None:
        raise LookupError(f"no file {layer.member} in the archive")
    begin = stream.read(_MAGIC_BYTES)
    stream.seek(0)
    decompress = next((opener for magic, opener in _COMPRESSIONS.items() if begin.startswith(magic)), None)
    with decompress(stream) if decompress else stream as content:
        counted = cast("IO[bytes]", _Counted(content, allowance))
        with tarfile.open(fileobj=counted, mode="r:", tarinfo=Entry) as tar:
            yield tar


def _in_words(error: Exception, allowance: Allowance) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return str(allowance.too_large())
    if isinstance(error, MemoryError):
        return f"expected names that take less than {MOST_MEMORY_BYTES // 1024**2} MiB of memory to read, got more"
    if isinstance(error, RecursionError):
        return "expected directories within each other that Python can walk through, got too many"
    if isinstance(error, _NO_TAR):
        return f"expected a tar, as it is or by gzip, got: {error}"
    return str(error)
