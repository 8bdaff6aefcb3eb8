"""Make the bundle, while the image is built: `python -m private_svc.make_bundle [FILE]`.

The program starts the service, asks for its health and its panel, and puts into the bundle what that process has
imported and mapped by then, so nobody keeps a list. Settings are those of the service: with APP your application's
imports are in the bundle, too.
"""

from __future__ import annotations

import json
import marshal
import os
import re
import subprocess
import sys
import urllib.request
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO, TYPE_CHECKING

from private_svc import bundle

if TYPE_CHECKING:
    from collections.abc import Iterable

ANSWER_SECONDS = 60.0
ANY_PORT = {"PORT": "0", "HELLO_PORT": "0", "METRICS_PORT": "0", "LOG_FORMAT": "json"}
SERVICE = ("-v", "-m", "private_svc")
NOTHING = ("-c", "print(open('/proc/self/maps').read())")
VERBOSE_STARTS = ("#", "import ")  # begin the lines of -v
FIRST_ASKED = ("/healthz", "/")
IMPORTED = re.compile(r"^import '([^']+)' # ", re.MULTILINE)
MAPPED = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \d+ +(/.*\.so\b.*)$", re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Write the bundle whole or not at all; return the exit status."""
    target = Path(arguments[0] if arguments else bundle.PATH)
    import_log, maps = first_answer()
    with NamedTemporaryFile(dir=target.resolve().parent, delete=False) as unfinished:
        try:
            write(unfinished, imported(import_log), libraries(maps))
            unfinished.flush()
            os.fchmod(unfinished.fileno(), 0o644)
            Path(unfinished.name).replace(target)
        except BaseException:
            Path(unfinished.name).unlink()
            raise
    print(f"{target}: {target.stat().st_size / 1024:.0f} KiB")
    return 0


def first_answer() -> tuple[str, str]:
    """Start the service; once it has answered, return the log of its imports, and its maps."""
    with (
        TemporaryFile("w+") as stderr,
        subprocess.Popen(
            [sys.executable, *SERVICE], env={**os.environ, **ANY_PORT}, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as service,
    ):
        try:
            port = _port(service.stdout or ())
            for path in FIRST_ASKED:
                request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": "text/html"})
                urllib.request.urlopen(request, timeout=ANSWER_SECONDS).close()  # noqa: S310 - http on loopback
            maps = Path(f"/proc/{service.pid}/maps").read_text()
        except BaseException:
            stderr.seek(0)
            sys.stderr.writelines(line for line in stderr if not line.startswith(VERBOSE_STARTS))
            raise
        finally:
            service.kill()
        stderr.seek(0)
        return stderr.read(), maps


def imported(import_log: str) -> list[str]:
    """Return the modules that were imported after the ports were bound, when the service looks for its bundle."""
    names = IMPORTED.findall(import_log)
    return names[names.index(bundle.__name__) + 1 :]


def _port(log: Iterable[str]) -> str:
    """Return the port of the admin listener, which is the first thing that a service says."""
    for line in log:
        event = json.loads(line)
        if event["event"] == "listening" and event["listener"] == "admin":
            return str(event["address"].rpartition(":")[2])
    raise SystemExit("make_bundle: expected the service to listen, it ended")


def libraries(maps: str) -> list[tuple[str, int]]:
    """Return the libraries that Python alone does not load, the first one first, each with how far it is mapped.

    What lies beyond, such as symbols for a debugger, is never read. The kernel maps each library below the one before.
    """
    ends: dict[str, int] = {}
    for begin, end, offset, path in reversed(MAPPED.findall(maps)):
        ends[path] = max(ends.get(path, 0), int(offset, 16) + int(end, 16) - int(begin, 16))
    alone = subprocess.run([sys.executable, *NOTHING], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [(path, size) for path, size in ends.items() if path not in alone]


def write(stream: IO[bytes], names: Iterable[str], mapped: list[tuple[str, int]]) -> None:
    """Write the index, then the code of every module that is made of source."""
    modules: dict[str, bundle.Module] = {}
    code = b""
    for name in names:
        spec = find_spec(name)
        if spec is None or spec.origin is None or type(spec.loader) is not SourceFileLoader:
            continue
        one = marshal.dumps(spec.loader.get_code(name))
        modules[name] = (spec.origin, spec.submodule_search_locations is not None, len(code), len(one))
        code += one
    index: bundle.Index = (sys.version, modules, mapped)
    stream.write(framed(index) + code)


def framed(index: bundle.Index) -> bytes:
    """Return an index as the file has it: its length, then itself."""
    packed = marshal.dumps(index)
    return len(packed).to_bytes(bundle.INDEX_AT) + packed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
