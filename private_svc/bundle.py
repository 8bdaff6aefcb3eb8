"""The byte code that the first answer needs, in one file, which the kernel reads while Python still imports.

A Machine starts with nothing in the page cache, and imports read 250 files one after the other, so Python waits for the
disk 250 times. The image has the code of those modules in one file, and with it the names of the libraries that they
load. `python -m private_svc.make_bundle` makes the file while the image is built, from what a real start has imported.

Rules: a module of the bundle has the same `__file__`, the same source and the same data files as without the bundle.
Nothing compares the bundle with the sources, because the files of an image do not change; a checkout has no bundle.
A bundle that another Python has made is left alone. Source: posix_fadvise(2), POSIX_FADV_WILLNEED.
"""

from __future__ import annotations

import marshal
import os
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location

TYPE_CHECKING = False  # importing typing costs milliseconds of every cold start
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import CodeType

    Module = tuple[str, bool, int, int]  # source file, is a package, offset of its code behind the index, length
    Index = tuple[str, dict[str, Module], list[tuple[str, int]]]  # sys.version, modules, libraries and bytes to read

INDEX_AT = 8  # the bytes before it are its length
PATH = f"{os.path.dirname(__file__)}/first_answer.bundle"  # noqa: PTH120 - no pathlib yet


def use(path: str = PATH) -> None:
    """Read ahead what the first answer needs, and import from the bundle from now on; without a bundle do nothing."""
    try:
        bundle = os.open(path, os.O_RDONLY)  # and it stays open: any module may be imported later
    except FileNotFoundError:
        return
    _read_ahead(bundle)
    length = int.from_bytes(os.pread(bundle, INDEX_AT, 0))
    index: Index = marshal.loads(os.pread(bundle, length, INDEX_AT))  # noqa: S302 - the image's own
    version, modules, libraries = index
    if version != sys.version:
        os.close(bundle)
        return
    for library, size in libraries:
        try:
            fd = os.open(library, os.O_RDONLY)
        except OSError:  # the import will say what is wrong
            continue
        _read_ahead(fd, size)
        os.close(fd)
    sys.meta_path.insert(0, Finder(bundle, modules, INDEX_AT + length))


def _read_ahead(fd: int, size: int = 0) -> None:
    """Let the kernel begin to read `size` bytes, 0 for all, and do not wait for them."""
    os.posix_fadvise(fd, 0, size, os.POSIX_FADV_WILLNEED)


class Finder:
    """Finds the modules of the bundle; any other module is found as without it."""

    def __init__(self, bundle: int, modules: dict[str, Module], code_at: int) -> None:
        self._bundle = bundle
        self._modules = modules
        self._code_at = code_at

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Return how to import a module, or None when it is not in the bundle."""
        if name not in self._modules:
            return None
        source, is_package, _, _ = self._modules[name]
        inside = [os.path.dirname(source)] if is_package else None  # noqa: PTH120 - no pathlib yet
        return spec_from_file_location(
            name, source, loader=Loader(name, source, self), submodule_search_locations=inside
        )

    def code(self, name: str) -> CodeType:
        """Return the code of a module."""
        _, _, at, length = self._modules[name]
        code: CodeType = marshal.loads(os.pread(self._bundle, length, self._code_at + at))  # noqa: S302
        return code


class Loader(SourceFileLoader):
    """Takes the code of a module from the bundle, and all else from where it is without a bundle."""

    def __init__(self, name: str, source: str, finder: Finder) -> None:
        super().__init__(name, source)
        self._finder = finder

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the module."""
        return self._finder.code(fullname)
