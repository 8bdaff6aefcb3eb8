"""Pack the probe and what it needs into one file that runs on a bare `python3` (PEP 441).

The same sources make the same bytes: entries are sorted, and carry no time and no owner. What rich needs only to colour
source code and Markdown stays out. `python -m shell.archive [FILE]` writes FILE, by default flycast-probe.pyz.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import distribution
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

DEFAULT = Path("flycast-probe.pyz")
LIBRARIES = ("dnspython", "rich", "shtab", "tomlkit")
SHEBANG = b"#!/usr/bin/env python3\n"
MAIN = b"""\
import sys

if sys.version_info < (3, 11):
    sys.exit("flycast-probe: expected Python 3.11 or newer, got %d.%d" % sys.version_info[:2])

from shell.__main__ import entry

entry()
"""
_FIRST_MOMENT = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say
_LICENCES = ("LICENSE", "LICENCE", "COPYING")


def main(arguments: list[str]) -> int:
    """Write the file whole or not at all; return the exit status."""
    target = Path(arguments[0]) if arguments else DEFAULT
    with NamedTemporaryFile(dir=target.resolve().parent, delete=False) as unfinished:
        try:
            write(unfinished)
            os.fchmod(unfinished.fileno(), 0o755)
            Path(unfinished.name).replace(target)
        except BaseException:
            Path(unfinished.name).unlink()
            raise
    print(f"{target}: {target.stat().st_size / 1024:.0f} KiB")
    return 0


def write(stream: IO[bytes]) -> None:
    """Write the archive to `stream`."""
    stream.write(SHEBANG)
    with ZipFile(stream, "w") as archive:
        for name, content in sorted([("__main__.py", MAIN), *_own(), *_libraries()]):
            archive.writestr(ZipInfo(name, _FIRST_MOMENT), content, ZIP_DEFLATED, compresslevel=9)


def _own() -> Iterator[tuple[str, bytes]]:
    package = Path(__file__).parent
    for path in package.rglob("*.py"):
        yield path.relative_to(package.parent).as_posix(), path.read_bytes()


def _libraries() -> Iterator[tuple[str, bytes]]:
    for library in LIBRARIES:
        for path in distribution(library).files or ():
            if path.suffix == ".py" or path.name.startswith(_LICENCES):
                yield path.as_posix(), path.read_binary()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
