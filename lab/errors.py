"""What can go wrong in the lab, one class for each thing a caller can do differently."""

from __future__ import annotations

import errno
import os
import traceback


class LabError(Exception):
    """Root of the lab's errors; the message is one line meant for the person at the terminal."""


class UsageError(LabError):
    """An option, a file or a command that was given cannot be used; exit status 2."""


class RefusedError(LabError):
    """The host refused a system call that the lab's namespaces need."""

    def __init__(self, call: str, number: int) -> None:
        """Keep the refused `call` in words and its `errno` number."""
        super().__init__(f"{call}: {errno.errorcode.get(number, number)} ({os.strerror(number)})")
        self.call = call
        self.errno = number


class CommandError(LabError):
    """A program could not be executed; `status` is what a shell would exit with (126 or 127)."""

    def __init__(self, program: str, number: int) -> None:
        """Keep the `program` and why `execve` failed."""
        super().__init__(f"cannot run {program!r}: {os.strerror(number)}")
        self.program = program
        self.status = 127 if number == errno.ENOENT else 126

    def with_search(self, path: str, directory: str, files: str) -> str:
        """Return the message and, when nothing was found, where in `files` the program was looked for."""
        if self.status != 127:  # noqa: PLR2004 - as above
            return str(self)
        if "/" in self.program:
            place = os.path.normpath(os.path.join(directory, self.program))  # noqa: PTH118 - a path of the Machine's
            return f"{self}; expected it, and the interpreter that a script names, in {files}: {place}"
        return f"{self}; expected it in a directory of PATH in {files}: {path}"


class MachineStartError(LabError):
    """A Machine did not come up; the message says why, in the words of the log."""


def reason(error: BaseException) -> str:
    """Return one line for an error that nobody expected: its type, its message, and where it was raised."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    said = f"{type(error).__name__}: {error}"
    for frame in traceback.extract_tb(error.__traceback__)[-1:]:
        said += f" (raised in {frame.filename}, line {frame.lineno}, {frame.name})"
    return said
