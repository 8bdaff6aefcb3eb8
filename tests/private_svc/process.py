"""Run the real service as a process, and wait for what it says, never for time to pass."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 20.0


class Running:
    """One service process and its log."""

    def __init__(self, environ: dict[str, str]) -> None:
        settings = {"PORT": "0", "HELLO_PORT": "0", "METRICS_PORT": "off", "LOG_FORMAT": "json"} | environ
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FLY_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "private_svc"],
            cwd=ROOT,
            env=kept | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.seen: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def event(self, name: str, **fields: object) -> dict[str, Any]:
        """Return the next event of that name and with those fields; those before it are passed over."""
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE_SECONDS)
            except queue.Empty:
                waited = f"expected {name!r} {fields or ''} within {PATIENCE_SECONDS:g} s"
                raise AssertionError(f"{waited}, got only {self.seen}") from None
            assert line is not None, f"the service ended without saying {name!r}: {self.seen} {self.errors()}"
            record = json.loads(line)
            self.seen.append(record)
            if record["event"] == name and fields.items() <= record.items():
                return dict(record)

    def errors(self) -> str:
        """Return what it wrote on stderr; only once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def port(self, listener: str) -> int:
        """Return the port a listener says it is bound to."""
        for record in self.seen:
            if record["event"] == "listening" and record["listener"] == listener:
                return int(record["address"].rpartition(":")[2])
        return int(self.event("listening", listener=listener)["address"].rpartition(":")[2])

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for the end; return the exit status."""
        return self.process.wait(PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@contextmanager
def service(**environ: str) -> Iterator[Running]:
    """Run a service until it says it serves; end it afterwards."""
    with Running(environ) as running:
        running.port("admin")
        running.port("hello")
        running.event("serving")
        yield running


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "private_svc", *arguments],
        cwd=ROOT,
        env=dict(os.environ) | environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
