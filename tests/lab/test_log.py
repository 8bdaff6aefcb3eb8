"""Log lines in the shape of `fly logs`."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from lab.log import EVERY_LEVEL, LineLog, LogLine, writers

WHEN = datetime(2026, 11, 20, 10, 5, 9, 7999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("source", "machine_id", "region", "level", "line"),
    [
        (
            "proxy",
            "148e",
            "ams",
            "info",
            "2026-11-20T10:05:09.007Z proxy[148e] ams [info] Starting machine",
        ),
        ("dns", "", "", "error", "2026-11-20T10:05:09.007Z dns [error] Starting machine"),
        ("app", "148e", "", "warn", "2026-11-20T10:05:09.007Z app[148e] [warn] Starting machine"),
    ],
)
def test_a_line_has_time_source_region_level_and_message(
    source: str, machine_id: str, region: str, level: str, line: str
) -> None:
    assert str(LogLine(source, "Starting machine", machine_id, region, level, WHEN)) == line


def test_colours_change_nothing_but_the_colour() -> None:
    for level in ("info", "warn", "error"):
        line = LogLine("proxy", "Starting machine", "148e", "ams", level, WHEN)
        assert "\x1b[" in line.coloured()
        assert re.sub(r"\x1b\[\d*m", "", line.coloured()) == str(line)


def test_every_writer_gets_every_line_with_its_level() -> None:
    one: list[LogLine] = []
    two: list[LogLine] = []
    log = LineLog(one.append, two.append)
    log("proxy", "first", machine_id="m1", region="ams")
    log("dns", "second", level="warn")
    assert one == two
    assert [line.level for line in one] == ["info", "warn"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z proxy\[m1\] ams \[info\] first", str(one[0]))


@pytest.mark.parametrize(
    ("levels", "expected"),
    [({"error"}, ["… app[m1] [error] ended", "    its last lines:", "    no volume"]), (EVERY_LEVEL, None)],
    ids=["shown as they came: not again", "not shown before"][::-1],
)
def test_last_lines_are_for_who_has_not_been_shown_what_apps_print(
    capsys: pytest.CaptureFixture[str], levels: set[str], expected: list[str] | None
) -> None:
    log = LineLog(*writers(None, "stdout", levels))
    log("app", "no volume", machine_id="m1")
    log("app", "ended", machine_id="m1", level="error", last_lines=("no volume",))
    said = re.sub(r"^\S+Z", "…", capsys.readouterr().out, flags=re.MULTILINE).splitlines()
    assert said == (expected or ["… app[m1] [info] no volume", "… app[m1] [error] ended"])


def test_what_an_app_names_cannot_command_the_terminal_or_write_a_line_of_its_own() -> None:
    """The name of a process, a header and a path of a request come into the log."""
    lines: list[LogLine] = []
    LineLog(lines.append)("app", "Killed process 7 (\x1b]0;title\x07\n2026 proxy [info] forged\u202e)")
    assert lines[0].message == r"Killed process 7 (\x1b]0;title\x07\x0a2026 proxy [info] forged\x202e)"
