"""A lab for one row, driven through a shell on its shell Machine.

The lab and its clients are on the client's core; an app that says so runs on the server's.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tests.bench import cores
from tests.bench.programs import PROJECT
from tests.bench.row import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
LAB = (sys.executable, "-m", "lab", "run")
_COMMAND_SECONDS = 30
_DEADLINE_SECONDS = 60.0  # of a command, the lab's start included, and of the lab's end
_END = "end-of-what-was-asked"
_LAST_WORDS = 300


class Inside:
    """A shell on the shell Machine: one command after the other."""

    def __init__(self, process: subprocess.Popen[str], complaints: IO[str]) -> None:
        self._process = process
        self._complaints = complaints

    def output(self, *command: str) -> str:
        """Run a command and return what it printed; raise BenchError when it fails or takes too long."""
        impatient = threading.Timer(_DEADLINE_SECONDS, self._process.kill)  # ends the lab, and its output with it
        impatient.start()
        try:
            said, _, status = self._said(command).rpartition(_END)
        finally:
            impatient.cancel()
        if status.strip() != "0":
            self._complaints.seek(0)
            why = f"{said or status}{self._complaints.read()}".strip()[-_LAST_WORDS:]
            raise BenchError(f"in the lab: {shlex.join(command)} failed: {why}")
        return said

    def _said(self, command: Sequence[str]) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        limited = shlex.join(("timeout", str(_COMMAND_SECONDS), *command))
        with suppress(BrokenPipeError):  # the lab has ended: its output says so too
            self._process.stdin.write(f"{limited} </dev/null; printf '\\n%s %s\\n' {_END} $?\n")
            self._process.stdin.flush()
        said = ""
        for line in self._process.stdout:
            said += line
            if line.startswith(_END):
                break
        return said


@contextmanager
def lab(*options: str) -> Iterator[Inside]:
    """Bring a lab up, with a shell inside."""
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            [*LAB, *options, "--", "sh"],
            cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True,
        )  # fmt: skip
        try:
            yield Inside(process, complaints)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_DEADLINE_SECONDS)
    finally:
        process.kill()
        for stream in filter(None, (process.stdin, process.stdout)):
            with suppress(BrokenPipeError):  # what it did not read before it ended
                stream.close()


@contextmanager
def app(name: str, services: str = "") -> Iterator[str]:
    """Write the fly.toml of an app; yield its path."""
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "fly.toml")
        config.write_text(f'app = "{name}"\nprimary_region = "ams"\n{services}')
        yield str(config)


def on_the_servers_core(*command: str) -> str:
    """Return a command that leaves the lab's core for the server's."""
    return shlex.join(("taskset", "--cpu-list", str(cores.SERVER), *command))
