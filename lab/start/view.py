"""Which parts of the host a Machine without an image shows: its app's directory, and the installation of its program.

Rules (ours; lab/start/rules.py has the rest of the table):

- The app's directory is that of its fly.toml.  It may not be a home directory or contain one, nor be one that every
  user writes to, such as /tmp: a Machine would show what the caller and others keep there.
- A stranger may have written fly.toml, the Dockerfile and every file beside them, so nothing is shown because one of
  these names it.  What the caller has is shown: programs in the directories of the caller's PATH, and the Python of
  this lab.
- Each word of a command may be a program, which is found as a shell finds it, by the caller's PATH.  A link is followed
  step by step; a script's `#!` line and the settings of a virtual environment name another program.  What a file of the
  app names counts only where the caller has it; what a program of the caller names counts, if it can be executed.
- The installation of PREFIX/bin/NAME is what PREFIX has of the directories that installations have, and nothing else of
  it; where PREFIX is a home directory it is the program alone.  A virtual environment is an installation, and so is the
  Python that it was made with; a package that it finds by a .pth file (`pip install -e`) belongs to it.
- What a link on the way leads to is shown at its own path, too, and first: the Machine follows links itself.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import UsageError
from lab.start import rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_PARTS = ("bin", "sbin", "lib", "lib64", "libexec", "include", "conf", "jre", "pyvenv.cfg")
_PROGRAM_DIRECTORIES = {"bin", "sbin"}
_MOST_PROGRAMS = 100  # with the links and scripts on the way to them
_MOST_LINE_BYTES = 256
_FIRST_USER, _NOBODY = 1000, 65534
_OF_ITS_OWN = ("/etc", "/proc", "/sys", "/dev")
_SYSTEM = tuple(f"/{name}" for name in rules.SYSTEM_DIRECTORIES)
_MADE_WITH = re.compile(r"^home\s*=\s*(\S.*?)\s*$", re.MULTILINE)


def check_directory(directory: Path, where: str) -> None:
    """Raise `UsageError`, which begins with `where`, when a Machine cannot show the app's `directory`."""
    inner = next((home for home in _homes() if home == directory or home.is_relative_to(directory)), None)
    if inner is not None:
        raise UsageError(
            f"{where}: expected a fly.toml in a directory of its own, got one in {directory}: a Machine sees the "
            f"directory of its fly.toml, and there that has the home directory {inner} in it; move the app into a "
            f"directory of its own"
        )
    of_the_system = directory == Path(directory.anchor) or directory.parts[1] in {"etc", "proc", "sys", "dev", "run"}
    if of_the_system or directory.stat().st_mode & stat.S_ISVTX:
        raise UsageError(f"{where}: expected a fly.toml in a directory of its own, got one in {directory}")


def installations(argv: Sequence[str], path: str, directory: Path) -> tuple[str, ...]:
    """Return what a Machine has to show, beside the system and its app's `directory`, so that `argv` runs.

    `path` is the caller's PATH.  A program that is not found needs nothing: its start says so.
    """
    found, homes = set[str](), list(_homes())
    for program in _programs(argv, path, directory)[0]:
        for part in _installation(Path(program), homes):
            found.update(place for place in (part, os.path.realpath(part)) if not _is_shown(place, directory))
    return tuple(_outermost(found))


def unseen(argv: Sequence[str], path: str, shown: Iterable[str], directory: Path) -> list[str]:
    """Return what a command, or a program of the app that it runs, names of the host and the Machine does not show."""
    places = (*shown, *_OF_ITS_OWN)

    def is_there(path: str) -> bool:
        return _is_shown(path, directory) or _is_below_any(path, places)

    named = dict.fromkeys([*_words(argv), *_programs(argv, path, directory)[1]])
    return [
        word
        for word in named
        if word.startswith("/") and os.path.exists(word)  # noqa: PTH110
        and not _is_below_any(word, _OF_ITS_OWN)
        and not (is_there(word) and is_there(os.path.realpath(word)))
    ]  # fmt: skip


def _programs(argv: Sequence[str], path: str, directory: Path) -> tuple[list[str], list[str]]:
    """Return the programs on the way of a command: those that the caller has, and the others that the app names."""
    own = _python_of_the_lab()
    at_hand = {*(os.path.dirname(program) for program in own), os.path.join(sys.base_prefix, "bin")}  # noqa: PTH118, PTH120
    at_hand |= {os.path.normpath(place) for place in path.split(os.pathsep) if place.startswith("/")}

    def is_the_app_s(program: str) -> bool:
        real = os.path.realpath(os.path.dirname(program))  # noqa: PTH120
        return program not in own and (_is_below(program, str(directory)) or _is_below(real, str(directory)))

    counting, others = dict.fromkeys(own), dict[str, None]()
    todo = [(program, False) for word in _words(argv) if (program := _find(word, path, directory))]
    todo += [(program, True) for program in own]
    seen = set[tuple[str, bool]]()
    while todo and len(seen) < _MOST_PROGRAMS:
        program, counts = todo.pop()
        if not program or (program, counts) in seen:
            continue
        seen.add((program, counts))
        if is_the_app_s(program):
            counts = False
        elif counts or os.path.dirname(program) in at_hand or _is_below_any(program, _SYSTEM):  # noqa: PTH120
            counts = True
            counting[program] = None
        else:
            others[program] = None
            continue
        todo += [(named, counts) for named in _further(program, path, directory)]
    return list(counting), list(others)


def _python_of_the_lab() -> list[str]:
    """Return the interpreter that runs the lab, by every link that leads to it."""
    found = [sys.executable]
    while os.path.islink(found[-1]) and len(found) < _MOST_PROGRAMS:  # noqa: PTH114
        found.append(os.path.normpath(Path(found[-1]).parent / os.readlink(found[-1])))  # noqa: PTH115
    return list(dict.fromkeys([*found, os.path.realpath(sys.executable)]))


def _homes() -> Iterator[Path]:
    with suppress(RuntimeError):  # a user whom this host does not know, as containers have them
        yield Path.home().resolve()
    for entry in pwd.getpwall():
        if entry.pw_uid == 0 or _FIRST_USER <= entry.pw_uid < _NOBODY:
            home = Path(entry.pw_dir).resolve()
            if home.parent != home and home.is_dir():
                yield home


def _words(argv: Sequence[str]) -> Iterator[str]:
    """Yield the words of a command, those of a script for a shell too: `env A=B node x` and `sh -c 'exec node x'`."""
    for word in argv:
        with suppress(ValueError):  # no text for a shell
            yield from shlex.split(word)


def _find(program: str, path: str, directory: Path) -> str:
    if "/" in program:
        place = os.path.normpath(directory / program)
        return place if os.path.isfile(place) and os.access(place, os.X_OK) else ""  # noqa: PTH113
    return shutil.which(program, path=path) or ""


def _further(program: str, path: str, directory: Path) -> list[str]:
    """Return the programs that `program` leads to: a link's target, a script's interpreter, an environment's maker."""
    with suppress(OSError):
        real = [os.path.realpath(program)]
        if os.path.islink(program):  # noqa: PTH114
            return [os.path.normpath(Path(program).parent / os.readlink(program)), *real]  # noqa: PTH115
        if real != [program]:  # by a link above it
            return real
        named = [*_interpreters(program), *_makers(program)]
        return [_find(name, path, directory) for name in named]
    return []


def _interpreters(program: str) -> list[str]:
    with open(program, "rb") as file:  # noqa: PTH123
        line = file.readline(_MOST_LINE_BYTES)
    if not line.startswith(b"#!"):
        return []
    interpreter, *arguments = os.fsdecode(line[2:]).split() or [""]
    named = [word for word in arguments if not word.startswith("-") and "=" not in word][:1]
    return [interpreter, *(named if Path(interpreter).name == "env" else [])]


def _makers(program: str) -> list[str]:
    settings = Path(program).parent.parent / "pyvenv.cfg"
    with suppress(OSError):
        return [
            str(Path(home, Path(program).name)) for home in _MADE_WITH.findall(settings.read_text(errors="replace"))
        ]
    return []


def _installation(program: Path, homes: Iterable[Path]) -> Iterator[str]:
    prefix = program.parent.parent
    at_home = any(home.is_relative_to(prefix.resolve()) for home in homes)
    if at_home or program.parent.name not in _PROGRAM_DIRECTORIES:
        yield str(program)
        return
    for part in _PARTS:  # nothing else of it
        if (prefix / part).exists():
            yield str(prefix / part)
    for named in prefix.glob("lib/python3*/site-packages/*.pth"):
        yield from _packages(named)


def _packages(named: Path) -> Iterator[str]:
    with suppress(OSError):
        for line in named.read_text(errors="replace").splitlines():
            if line.startswith("/"):
                yield from (str(init.parent) for init in sorted(Path(line).glob("*/__init__.py")))


def _is_shown(path: str, directory: Path) -> bool:
    """Tell whether every Machine of the app shows `path`, be it a link that leads elsewhere."""
    return _is_below_any(path, (str(directory), *_SYSTEM))


def _is_below_any(path: str, places: Iterable[str]) -> bool:
    return any(_is_below(path, place) for place in places)


def _is_below(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


def _outermost(paths: Iterable[str]) -> list[str]:
    """Leave out what comes along with a directory above it; what a link leads to is before the link."""
    kept: list[str] = []
    for path in sorted(paths, key=lambda path: (os.path.realpath(path) != path, path)):
        if not any(_is_below(path, other) for other in kept):
            kept.append(path)
    return kept
