from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from shell.check.fixes import difference, mended
from shell.check.judge import judge
from shell.errors import NotWellError

CASES = sorted((Path(__file__).parent / "check_cases" / "faulty").glob("*.toml"))
GOOD = sorted((Path(__file__).parent / "check_cases" / "good").glob("*.toml"))
MESSY = """\
# first of all
app = "shop"  # the name

  [http_service]   # the panel
  internal_port = 8080
  "force_https" = true # because
  auto_stop_machines = 'stop'
  Auto_Start_Machines=false

    [[http_service.checks]]
    path = "/healthz"

# between
[env]
HELLO_PORT = "1848"

[[services]]
internal_port = 1848
  [[services.ports]]
  port = 1848   # raw

[services.concurrency]
type = "connections"
# the end, without a line end"""


def fixed(path: Path) -> str:
    return mended(path.read_bytes().decode(), judge(path).findings)


def test_the_safe_fixes_are_written_and_everything_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "fly.toml"
    path.write_text(MESSY, encoding="utf-8")
    (tmp_path / "Dockerfile").write_text("FROM nginx\nEXPOSE 80\n", encoding="utf-8")
    new = fixed(path)
    changes = [line for line in difference("fly.toml", MESSY, new)[2:] if line[0] in "+-" and line[1:]]
    assert changes == [
        '+kill_timeout = "10s"',
        '-  "force_https" = true # because',
        '+  "force_https" = false # because',
        "-  Auto_Start_Machines=false",
        "+  Auto_Start_Machines=true",
        '+auto_stop_machines = "stop"',
        "+[build]",
        '+dockerfile = "Dockerfile"',
    ], "\n".join(changes)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_fix_mends_what_it_can_and_the_second_time_nothing_is_left_to_mend(case: Path, tmp_path: Path) -> None:
    path = tmp_path / "fly.toml"
    path.write_bytes(case.read_bytes())
    before = judge(path)
    path.write_bytes(fixed(path).encode())
    after = judge(path)
    kept = [line for line in case.read_text(encoding="utf-8").splitlines() if "#" in line]
    assert set(kept) <= set(path.read_text(encoding="utf-8").splitlines())
    assert [it.rule.id for it in after.findings if it.edits] == []
    assert len(after.findings) == sum(not it.edits for it in before.findings)
    assert fixed(path) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.stem)
def test_a_good_file_is_left_as_it_is(case: Path) -> None:
    assert fixed(case).encode() == case.read_bytes()


def test_windows_line_ends_stay(tmp_path: Path) -> None:
    path = tmp_path / "fly.toml"
    path.write_bytes(b'app = "shop"\r\nenv.HELLO_PORT = "1848"\r\n[http_service]\r\nforce_https = true # why\r\n')
    new = fixed(path)
    assert b"force_https = false # why\r\n" in new.encode()
    assert new.count("\r\n") == new.count("\n"), repr(new)


def test_a_check_whose_name_has_a_dot_is_left_for_a_person(tmp_path: Path) -> None:
    path = tmp_path / "fly.toml"
    text = 'app = "a"\nkill_timeout = "9s"\n[checks."a.b"]\ntype = "tcp"\nport = 1\ninterval = 5000\n'
    path.write_text(text, encoding="utf-8")
    assert "bare-duration" in [finding.rule.id for finding in judge(path).findings]
    assert tomllib.loads(fixed(path)) == tomllib.loads(text)


def test_what_cannot_be_mended_without_harm_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fly.toml"
    path.write_text(MESSY, encoding="utf-8")
    findings = judge(path).findings
    with pytest.raises(NotWellError, match="nothing was changed"):
        mended("http_service = 3\n", findings)
