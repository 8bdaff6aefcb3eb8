"""What an image in one file says of itself: what it runs, as whom, where and with what, and where its layers are."""

from __future__ import annotations

import os
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from lab.errors import UsageError
from lab.image.manifests import UnfitError, chosen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Docker's, for an image without one
_MOST_SHOWN = 500  # characters of an error
_MOST_HEADER_BYTES = 1024 * 1024
_LONG_HEADERS = {
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
}  # fmt: skip


class Entry(tarfile.TarInfo):
    """An entry of a tar whose long headers have a bound, because tarfile reads each of them into memory whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read one header."""
        entry = super().frombuf(buf, encoding, errors)
        if entry.type in _LONG_HEADERS and entry.size > _MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {entry.size} bytes, expected at most {_MOST_HEADER_BYTES}")
        return entry


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: the member of the archive that holds it, as it is stored, and the instruction that made it."""

    member: str
    stored_bytes: int
    made_by: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image, and the open file it is in: its name as given, what it runs, as whom, where and with what."""

    name: str
    file: int
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    env: Mapping[str, str]
    user: str
    directory: str

    @property
    def root(self) -> str:
        """Where the lab unpacks it."""
        return f"/run/image/{self.file}"


@contextmanager
def opened(file: int) -> Iterator[tarfile.TarFile]:
    """Open the archive that `file` is a descriptor of, from its start; the descriptor stays open."""
    os.lseek(file, 0, os.SEEK_SET)
    stream = os.fdopen(file, "rb", closefd=False)
    with stream, tarfile.open(fileobj=stream, mode="r:", tarinfo=Entry) as archive:
        yield archive


def read(name: str, file: int) -> Image:
    """Return the image in the archive that `file` is a descriptor of; raise `UsageError` when there is none."""
    try:
        with opened(file) as archive:
            config, layers = chosen(archive)
            sizes = [archive.getmember(member).size for member in layers]
            return _image(name, file, config, list(zip(layers, sizes, strict=True)))
    except UnfitError as error:
        raise UsageError(f"image {name}: {error}") from None
    except (tarfile.TarError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        got = f"{type(error).__name__}: {error}"[:_MOST_SHOWN]
        raise UsageError(f"image {name}: expected one image in an OCI or Docker archive, got {got}") from None


def _image(name: str, file: int, config: dict[str, Any], layers: list[tuple[str, int]]) -> Image:
    made = [step.get("created_by", "") for step in config.get("history", ()) if not step.get("empty_layer")]
    made += [""] * (len(layers) - len(made))
    run: dict[str, Any] = config.get("config") or {}
    env = dict(text.split("=", 1) for text in run.get("Env") or ())
    return Image(
        name=name,
        file=file,
        layers=tuple(Layer(*layer, by) for layer, by in zip(layers, made, strict=False)),
        entrypoint=_words(run.get("Entrypoint") or []),
        command=_words(run.get("Cmd") or []),
        env={"PATH": DEFAULT_PATH, **env},
        user=_word(run.get("User") or ""),
        directory=_word(run.get("WorkingDir") or "/"),
    )


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected an array of strings, got {value!r:.60}")
    return tuple(map(_word, value))


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {value!r:.60}")
    return value
