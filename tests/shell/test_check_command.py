"""`flycast-probe check` as its user runs it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shell.check.judge import judge
from shell.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    Write = Callable[[str], Path]

PROJECT = Path(__file__).parents[2]
GOOD = """\
app = "shop"
kill_timeout = "10s"
[http_service]
internal_port = 8080
auto_stop_machines = "stop"
[[vm]]
memory = "256mb"
[env]
URL = "http://shop.flycast/"
"""
BAD = GOOD.replace("[[vm]]", "force_https = true  # why not\n[[vm]]")
WARNED = GOOD.partition("[[vm]]")[0]
ADDRESS = {"ID": "ip_1", "Address": "fdaa:0:18:0:1::2", "Type": "private_v6"}


@pytest.fixture(name="write")
def _write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return what writes ./fly.toml."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = tmp_path / "fly.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--help"]) == 0
    assert "examples:\n  flycast-probe check" in capsys.readouterr().out


def test_a_good_file_is_well_and_says_so(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(GOOD)
    assert main(["check"]) == 0
    assert capsys.readouterr() == ("fly.toml: no problems found\n", "")


def test_a_finding_has_line_reason_and_fix(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(BAD)
    assert main(["check", "fly.toml"]) == 1
    head, why, fix, last = capsys.readouterr().out.splitlines()
    assert head.startswith("error   fly.toml:6: http_service.force_https: force_https = true redirects")
    assert head.endswith("[force-https]")
    assert "301" in why
    assert fix == "  fix   force_https = false  (--fix does it)"
    assert last == "fly.toml: 1 error"


def test_warnings_count_only_when_strict(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(WARNED)
    assert main(["check"]) == 0
    assert main(["check", "--strict"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "fly.toml: 1 warning"


PUBLIC = [{"ID": "ip_1", "Address": "2a09:8280:1::1", "Type": "v6"}]
WEBSITE = BAD.partition("[env]")[0]


def severities(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    main(["check", "--json", *arguments])
    return {finding["id"]: finding["severity"] for finding in json.loads(capsys.readouterr().out)["findings"]}


def test_a_public_website_may_redirect_to_https_and_have_public_addresses(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(WEBSITE)
    Path("ips.json").write_text(json.dumps(PUBLIC), encoding="utf-8")
    found = severities(capsys, "--ips", "ips.json")
    assert found == {"force-https": "warning", "public-address": "warning", "no-private-address": "warning"}
    assert main(["check", "--fix"]) == 0
    assert "force_https = true" in Path("fly.toml").read_text(encoding="utf-8")
    assert "If it is, check it with --private." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "addresses", "options"),
    [
        ("", PUBLIC, ["--private"]),
        ("", [*PUBLIC, ADDRESS], []),
        ('[env]\nHELLO_PORT = "1848"\n', PUBLIC, []),
        ('[env]\nBASE_URL = "http://shop.flycast"\n', PUBLIC, []),
    ],
    ids=["said so", "a private address", "the service of this blueprint", "its own .flycast name"],
)
def test_what_exposes_an_app_that_is_known_to_be_private_is_an_error(
    more: str, addresses: list[object], options: list[str], write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(WEBSITE + more)
    Path("ips.json").write_text(json.dumps(addresses), encoding="utf-8")
    found = severities(capsys, "--ips", "ips.json", *options)
    assert (found["force-https"], found["public-address"]) == ("error", "error")


@pytest.mark.parametrize("name", ["http://workshop.flycast", "http://shop.flycast-mirror.example", "http://db.flycast"])
def test_another_app_s_flycast_name_tells_nothing_of_this_one(
    name: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(f'{WEBSITE}[env]\nURL = "{name}"\n')
    assert severities(capsys) == {"force-https": "warning"}


def test_an_egress_address_is_not_complained_of(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(GOOD)
    egress = {"ID": "ip_2", "Address": "192.0.2.7", "Type": "egress_v4", "Region": "ams"}
    Path("ips.json").write_text(json.dumps([ADDRESS, egress]), encoding="utf-8")
    assert main(["check", "--strict", "--ips", "ips.json"]) == 0
    assert "192.0.2.7" not in capsys.readouterr().out


def test_fix_shows_the_diff_checks_again_and_has_nothing_to_do_the_second_time(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(BAD)
    path.chmod(0o640)
    assert main(["check", "--fix"]) == 0
    shown = capsys.readouterr().out
    assert "-force_https = true  # why not\n+force_https = false  # why not\n" in shown
    assert shown.endswith("fly.toml: no problems found\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_text(encoding="utf-8") == BAD.replace("= true  # why", "= false  # why")
    before = path.stat()
    assert main(["check", "--fix"]) == 0
    assert capsys.readouterr().out == "fly.toml: no problems found\n"
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino


def test_fix_names_what_is_left_for_a_person(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(BAD.replace("8080", "80800"))
    assert main(["check", "--fix"]) == 1
    out = capsys.readouterr().out
    assert "+force_https = false" in out
    assert "fly.toml:4: http_service.internal_port: expected a port from 1 to 65535, got 80800 [port-range]" in out
    assert out.endswith("fly.toml: 1 error left for you\n")


def test_fix_writes_through_a_symbolic_link(write: Write, tmp_path: Path) -> None:
    real = write(BAD)
    (tmp_path / "link.toml").symlink_to(real)
    assert main(["check", "link.toml", "--fix"]) == 0
    assert (tmp_path / "link.toml").is_symlink()
    assert "force_https = false" in real.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (GOOD, "valid", None),
        (f'{GOOD}[restart]\npolicy = "no"\n', "parse_error", "json: cannot unmarshal"),
        (f'{GOOD}[[restart]]\npolicy = "no"\n', "invalid", "invalid restart policy"),
        (f"{GOOD}[", "load_error", "row 10"),
    ],
)
def test_json_has_flyctl_s_own_verdict(
    text: str, kind: str, message: str | None, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(text)
    assert main(["check", "--json"]) == (0 if kind == "valid" else 1)
    record = json.loads(capsys.readouterr().out)
    assert (record["schema_version"], record["command"], record["flyctl"]) == (1, "check", kind)
    assert (record["flyctl_messages"] == []) == (message is None)
    assert message is None or message in record["flyctl_messages"][0]
    assert record["ok"] == (kind == "valid")


def test_json_of_a_fix_holds_the_diff_and_what_is_left(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(BAD.replace("8080", "22"))
    assert main(["check", "--fix", "--format", "json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert "+force_https = false  # why not" in record["diff"]
    (finding,) = record["findings"]
    assert finding["id"] == "ssh-port"
    assert (finding["line"], finding["severity"], finding["fixable"]) == (4, "error", False)


def test_github_gets_an_annotation_a_finding_that_no_text_can_forge(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(f'{BAD}"FLY_%0A::error::x\\n::warning::y" = "1"\n')
    assert main(["check", "--format", "github"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("::error file=fly.toml,line=6,title=force-https::force_https = true redirects")
    assert lines[1].startswith("::warning file=fly.toml,line=11,title=fly-variable::FLY_%250A")
    assert "FLY_%250A::error::x\\n::warning" in lines[1]
    assert len(lines) == 2


def test_addresses_that_cannot_be_read_keep_fix_from_writing(write: Write) -> None:
    path = write(BAD)
    assert main(["check", "--fix", "--ips", "nowhere.json"]) == 2
    assert path.read_text(encoding="utf-8") == BAD


def test_fix_shows_its_diff_on_stderr_where_stdout_is_for_a_program(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(BAD)
    assert main(["check", "--fix", "--format", "github"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "+force_https = false  # why not\n" in err


def test_sarif_has_what_its_standard_requires(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(BAD)
    Path("ips.json").write_text("[]", encoding="utf-8")
    assert main(["check", "--format", "sarif", "--ips", "ips.json"]) == 1
    log = json.loads(capsys.readouterr().out)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids)
    levels = {"none", "note", "warning", "error"}
    assert all(rule["shortDescription"]["text"] for rule in driver["rules"])
    assert {rule["defaultConfiguration"]["level"] for rule in driver["rules"]} <= levels
    assert [result["ruleId"] for result in run["results"]] == ["force-https", "no-private-address"]
    for result in run["results"]:
        assert result["message"]["text"]
        assert result["level"] in levels
        assert ids[result["ruleIndex"]] == result["ruleId"]
    of_file, of_addresses = (result["locations"][0]["physicalLocation"] for result in run["results"])
    assert of_file == {"artifactLocation": {"uri": "fly.toml"}, "region": {"startLine": 6}}
    assert of_addresses == {"artifactLocation": {"uri": "ips.json"}}


def test_sarif_names_files_as_uris(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "my app, 100%.toml"
    path.write_text(BAD, encoding="utf-8")
    assert main(["check", str(path), "--format=sarif"]) == 1
    (result,) = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    uri: str = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.startswith("file:///")
    assert uri.endswith("/my%20app%2C%20100%25.toml")


def test_the_addresses_are_checked_from_a_file_and_from_stdin(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(GOOD)
    public = [ADDRESS, {**ADDRESS, "Address": "2a09:8280:1::1", "Type": "v6"}]
    Path("ips.json").write_text(json.dumps(public), encoding="utf-8")
    assert main(["check", "--ips", "ips.json"]) == 1
    out = capsys.readouterr().out
    assert "error   ips.json: [1]: public address 2a09:8280:1::1 (v6) [public-address]" in out
    assert "  fix   fly ips release 2a09:8280:1::1 -a shop\n" in out
    assert out.endswith("fly.toml and its addresses: 1 error\n")
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(json.dumps([ADDRESS]).encode())))
    assert main(["check", "--ips=-"]) == 0
    assert capsys.readouterr().out == "fly.toml and its addresses: no problems found\n"


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_the_addresses_come_through_a_pipe_that_the_shell_has_opened(name: str, write: Write) -> None:
    path = write(GOOD).resolve()
    done = subprocess.run(
        [sys.executable, "-m", "shell", "check", str(path), "--ips", name], cwd=Path(__file__).parents[2],
        input=json.dumps([ADDRESS]), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_dockerfile_that_has_no_end_is_the_build_s_affair(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe")
    for name in ("/dev/zero", "pipe", "a\\u0000b"):
        write(f'{GOOD}\n[build]\ndockerfile = "{name}"\n')
        assert main(["check"]) == 0, capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.toml"], "nowhere.toml: expected a fly.toml, got no such file"),
        (["/dev/null/fly.toml"], "expected a fly.toml, got no such file"),
        (["x\0y"], "expected"),
        (["--ips", "nowhere.json"], "--ips: cannot read nowhere.json: No such file or directory"),
        (["--ips", ""], "--ips: cannot read a file without a name: Is a directory"),
        (["--ips", "."], "--ips: cannot read .: Is a directory"),
        (["--ips", "fly.toml"], "--ips: expected the output of `fly ips list --json`"),
        (["--ips", "large.json"], "got more than"),
        (
            ["--ips", "/dev/zero"],
            "--ips: cannot read /dev/zero: expected a regular file, got a device; name such a file",
        ),
        (["--ips", "pipe"], "--ips: cannot read pipe: expected a regular file, got a pipe; name such a file"),
        (["pipe"], "pipe: expected a fly.toml, got a pipe; name a regular file of at most 1048576 bytes"),
        (["--format", "xml"], "invalid choice: 'xml'"),
        (["--json", "--format", "sarif"], "not allowed with argument"),
        (["/dev/zero"], "expected a fly.toml, got a device"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_status_2(
    arguments: list[str], words: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(GOOD)
    Path("large.json").write_bytes(b" " * (2 << 20))
    os.mkfifo("pipe")
    assert main(["check", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1, err


@pytest.mark.parametrize("other", ["fly.json", "fly.yaml", "fly.yml"])
def test_a_file_of_another_kind_is_named(other: str, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(GOOD).rename(other)
    assert main(["check"]) == 2
    assert f"got no such file; {other} is there, and only TOML is read" in capsys.readouterr().err


def test_a_folder_stands_for_the_fly_toml_in_it(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(GOOD)
    assert main(["check", "."]) == 0
    assert capsys.readouterr().out == "fly.toml: no problems found\n"


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_a_secret_and_terminal_control_are_never_shown(
    form: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        f'{BAD}ADMIN_TOKEN = "s3cret-value"\n"\\u001b]0;owned\\u0007_TOKEN" = "s3cret-value"\n'
        'LINK = "https://me:s3cret-value@example.com"\n"FLY_\\u202e" = "s3cret-value"\n'
    )
    assert main(["check", "--fix", "--format", form]) == 1
    out, err = capsys.readouterr()
    assert "secret-in-env" in out
    assert not set(out + err) & {"\x1b", "\x07", "\u202e"}
    assert "s3cret-value" not in out + err


def judged(path: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "shell", "check", str(path), "--json"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    assert done.returncode == (1 if findings else 0), done.stderr
    return findings


def test_the_program_judges_the_blueprint_s_own_file_and_a_bad_one(write: Write) -> None:
    assert judged(PROJECT / "fly.toml") == []
    assert [finding["id"] for finding in judged(write(BAD))] == ["force-https"]


def test_a_file_that_may_not_be_written_is_left_and_said(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    path = write(BAD)
    path.parent.chmod(0o555)
    try:
        assert main(["check", "--fix"]) == 1
    finally:
        path.parent.chmod(0o755)
    assert capsys.readouterr().err == f"flycast-probe: cannot write {path}: Permission denied\n"
    assert path.read_text(encoding="utf-8") == BAD


def test_a_large_hostile_file_is_judged_in_a_moment(write: Write) -> None:
    port = "[[services.ports]]\nport = 5000\nstart_port = 1\n"
    path = write(f"{GOOD}[[services]]\ninternal_port = 1\nauto_stop_machines = true\n{port * 2000}")
    assert sum(finding.rule.id == "port-clash" for finding in judge(path).findings) == 1999
