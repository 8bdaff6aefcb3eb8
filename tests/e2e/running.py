"""A lab that stays up for a test, driven as a person drives it: `flycast-lab up`, `exec`, `status`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT = Path(__file__).resolve().parents[2]
LAB = (sys.executable, "-m", "lab")
DEADLINE_SECONDS = 60


class RunningLab:
    """`flycast-lab up` as a child process, with its log at hand."""

    def __init__(
        self,
        *options: str,
        configs: Sequence[Path] = (PROJECT / "fly.toml",),
        before: Sequence[str] = (),
        asking: Sequence[str] = (),
        **caller: Any,
    ) -> None:
        """Start it behind the words `before`, and ask it behind the words `asking`: only its own user may ask.

        `caller` has what else `subprocess.Popen` takes.
        """
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._lab = (*asking, *LAB)
        self.process = subprocess.Popen(
            [*before, *LAB, "up", *(f"--config={config}" for config in configs), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **caller,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        try:
            self.wait_for("The lab is up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(DEADLINE_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, pattern: str, since: int = 0) -> str:
        """Return the first log line from number `since` on that matches, or fail with what the log said."""
        end = time.monotonic() + DEADLINE_SECONDS
        with self._news:
            while True:
                for line in self.lines[since:]:
                    if re.search(pattern, line):
                        return line
                left = end - time.monotonic()
                ended = not self._reader.is_alive()
                if left <= 0 or ended:
                    said = "\n".join(self.lines)
                    raise AssertionError(
                        f"no line matches {pattern!r} ({'lab ended' if ended else 'timeout'}):\n{said}"
                    )
                self._news.wait(min(left, 1))

    def on(
        self, machine: str, *argv: str, seconds: float = DEADLINE_SECONDS, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on a Machine (`shell`, `internet` or an id) and return what came of it."""
        return subprocess.run(
            [*self._lab, "exec", "--lab", str(self.process.pid), "--machine", machine, "--", *argv],
            input=stdin, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip

    def shell(self, script: str, seconds: float = DEADLINE_SECONDS) -> str:
        """Run a shell script on the shell Machine; return its output, fail when it fails."""
        done = self.on("shell", "sh", "-c", script, seconds=seconds)
        assert done.returncode == 0, f"$ {script}\nexit {done.returncode}\n{done.stdout}{done.stderr}{self.tail()}"
        return done.stdout

    def status(self) -> dict[str, Any]:
        """Return what `flycast-lab status --json` says."""
        command = [*self._lab, "status", "--json", "--lab", str(self.process.pid)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=True)
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def tail(self) -> str:
        """Return the last log lines, for a failure message."""
        return "\nlab log:\n" + "\n".join(self.lines[-20:])
