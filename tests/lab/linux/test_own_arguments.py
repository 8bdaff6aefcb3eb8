"""What other processes read of the lab's command line."""

from __future__ import annotations

import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from lab.linux.own_arguments import values
from tests.e2e.running import LAB, PROJECT

SHOWS_ITSELF = """
import sys
from pathlib import Path
from lab import cli
cli._do = lambda arguments: print(arguments.secret, Path("/proc/self/cmdline").read_bytes()) or 0
BEFORE
sys.exit(cli.main(sys.argv[1:]))
"""


def shown(*arguments: str, before: str = "") -> tuple[str, bytes]:
    """Parse a command line in a process of its own; return the secrets it found and its /proc/PID/cmdline."""
    done = subprocess.run(
        [sys.executable, "-c", SHOWS_ITSELF.replace("BEFORE", before), *arguments],
        capture_output=True, timeout=60, cwd=PROJECT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    found, _, line = done.stdout.decode("utf-8", "surrogateescape").rstrip().rpartition(" b")
    return found, line.encode()


@pytest.mark.parametrize("command", ["run", "up", "demo"])
@pytest.mark.parametrize(
    "given",
    [["--secret", "TOKEN=abc"], ["--secret=TOKEN=abc"], ["--sec", "TOKEN=abc"], ["--secr=TOKEN=abc"]],
    ids=" ".join,
)
def test_the_value_of_a_secret_is_stars_in_the_command_line_that_others_read(command: str, given: list[str]) -> None:
    found, line = shown(command, *given)
    assert found == "['TOKEN=abc']", "the lab itself has the value"
    assert b"abc" not in line
    assert b"TOKEN=***\\x00" in line, line


def test_all_else_of_the_command_line_stays_as_it_was() -> None:
    plain = ["--scale", "2", "--secret", "FROM_HERE", "--secret", "EMPTY="]
    _, line = shown("run", *plain, "--secret", "A=b=c", "--secret", "B=b", "--", "echo", "b=c", "x=A=b=c")
    words = line.strip(b"'").split(b"\\x00")[3:]
    hidden = ["--secret", "A=***", "--secret", "B=*", "--", "echo", "b=c", "x=A=b=c", ""]
    assert [word.decode() for word in words] == ["run", *plain, *hidden]


def test_a_secret_of_bytes_that_are_no_text_is_hidden_as_well() -> None:
    _, line = shown("run", "--secret", "TOKEN=\udcffa\u00e4")
    assert b"TOKEN=****\\x00" in line, line


def test_without_a_proc_the_lab_goes_on() -> None:
    found, _ = shown("run", "--secret", "TOKEN=abc", before=(
        "from lab.linux import own_arguments\n"
        "own_arguments.Path = lambda name: Path('/nowhere', name)"
    ))  # fmt: skip
    assert found == "['TOKEN=abc']"


@pytest.mark.lab
def test_no_process_of_a_lab_that_is_up_shows_a_secret_to_those_that_list_processes(tmp_path: Path) -> None:
    (tmp_path / "fly.toml").write_text('app = "quiet"\n[processes]\napp = "sleep 1000"\n')
    secret = uuid.uuid4().hex
    with subprocess.Popen(
        [*LAB, "run", f"--config={tmp_path}/fly.toml", "--secret", f"TOKEN={secret}", "--", "sh", "-c", "echo up; cat"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT,
    ) as lab:  # fmt: skip
        assert lab.stdout is not None
        assert lab.stdout.readline() == "up\n"
        lines = {place.parent.name: line for place in Path("/proc").glob("[0-9]*/cmdline") if (line := read(place))}
        lab.communicate()
    assert f"TOKEN={'*' * len(secret)}" in lines[str(lab.pid)]
    assert [line for line in lines.values() if secret in line] == []


def read(place: Path) -> str:
    with suppress(OSError):  # it has just ended
        return place.read_text(errors="replace")
    return ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (b"A=b\0", [(2, 1)]),
        (b"x\0A=b\0A=b", [(4, 1), (8, 1)]),
        (b"--secret=A=b\0", [(11, 1)]),
        (b"--a=\0--\0=\0\0", []),
        (b"-A=b\0", []),
        (b"", []),
    ],
    ids=repr,
)
def test_a_value_is_found_where_it_is(arguments: bytes, expected: list[tuple[int, int]]) -> None:
    assert list(values(arguments, {b"A=b"})) == expected
