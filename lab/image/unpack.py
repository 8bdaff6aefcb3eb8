"""Unpacks the layers of an image into a directory, one over the other.

Rules (OCI image specification, "Image Layer Filesystem Changeset"): an entry replaces what a lower layer has under its
name, but a directory keeps what is in it; `.wh.NAME` takes NAME away; `.wh..wh..opq` takes away all that lower layers
have in its directory.

A process of its own does it, with the directory as its root: no name in a layer can lead out of it.  Devices are not
made, since Machines get theirs from the lab; capabilities of files are not kept; owners are, where the host allows.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import zlib
from contextlib import suppress
from typing import IO, TYPE_CHECKING, NoReturn

from lab.errors import LabError
from lab.image.archive import opened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.image.archive import Image, Layer

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


def unpack(image: Image) -> None:
    """Make `image.root`; raise `LabError` when a layer cannot be unpacked."""
    report, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(report)
        _work(image, write)
    os.close(write)
    with os.fdopen(report, errors="replace") as said:
        problem = said.read()
    _, status = os.waitpid(child, 0)
    os.close(image.file)
    if problem or status:
        raise LabError(f"image {image.name}: cannot be unpacked: {problem or f'wait status {status}'}")


def _work(image: Image, write: int) -> NoReturn:
    status = 1
    try:
        with opened(image.file) as archive:
            os.umask(0o022)  # for directories that no layer describes
            os.makedirs(image.root)  # noqa: PTH103 - a string, as mount wants it
            os.chroot(image.root)
            os.chdir("/")
            _lay(archive, image.layers)
        status = 0
    except (OSError, tarfile.TarError, zlib.error, EOFError, LookupError, ValueError) as error:
        os.write(write, str(error).encode()[:4096])
    finally:
        os._exit(status)


def _lay(archive: tarfile.TarFile, layers: Iterable[Layer]) -> None:
    for number, layer in enumerate(layers):
        stream = archive.extractfile(layer.member)
        if stream is None:
            raise LookupError(f"no file {layer.member} in the archive")
        try:
            apply(stream)
        except tarfile.ReadError as error:
            raise tarfile.ReadError(f"layer {number}: expected a tar, as it is or by gzip, got: {error}") from None


def apply(layer: IO[bytes]) -> None:
    """Lay one layer over what is in the root directory."""
    own: set[str] = set()
    with tarfile.open(fileobj=layer, mode="r|*") as entries:
        entries.extraction_filter = lambda entry, _: entry  # the root directory is the boundary
        for entry in entries:
            path = os.path.normpath(f"/{entry.name}")
            directory, name = os.path.split(path)
            if name == _OPAQUE:
                _empty(directory, own)
            elif name.startswith(_WHITEOUT):
                _remove(os.path.join(directory, name.removeprefix(_WHITEOUT)))  # noqa: PTH118
            elif not entry.isdev() or entry.isfifo():
                own.update(_with_parents(path))
                if not (entry.isdir() and os.path.isdir(path)):  # noqa: PTH112
                    _remove(path)
                entries.extract(entry, "/", numeric_owner=True)


def _with_parents(path: str) -> Iterable[str]:
    while path != "/":
        yield path
        path = os.path.dirname(path)  # noqa: PTH120


def _empty(directory: str, own: set[str]) -> None:
    """Take away what is in `directory` and not in `own`."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as entries:
        for entry in list(entries):
            if entry.path not in own:
                _remove(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                _empty(entry.path, own)


def _remove(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108 - called for every file of an image
    except IsADirectoryError:
        shutil.rmtree(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
