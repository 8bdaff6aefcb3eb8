from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shell.cli import main
from tests.shell.scripted_dns import raw_text, records
from tests.shell.scripted_http import ScriptedServer, answering, timing

if TYPE_CHECKING:
    from tests.shell.scripted_dns import ScriptedDns

ROOT = Path(__file__).parents[2]
INTERRUPTIBLE = (  # the tests may run in the background, where Ctrl-C is ignored
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import shell.__main__ as m; m.entry()"
)
COLD = answering(headers=timing(boot_ms=10, age_ms=20), before_seconds=0.08)
WARM = answering(headers=timing(boot_ms=10, age_ms=60_000))


def probe(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shell", *arguments],
        cwd=ROOT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )


def sleeping(nameserver: ScriptedDns) -> str:
    """Describe a sleeping app on loopback; return the --dns option."""
    nameserver.app("shop", "::1", deployed="3d8d9014b32d89 ams", started="")
    nameserver.script["_apps.internal", "TXT"] = records("TXT", "shop")
    return f"--dns={nameserver.server}"


def test_the_version_is_that_of_the_project() -> None:
    shown = probe("--version")
    written = re.search(r'__version__ = "(.+)"', (ROOT / "private_svc/__init__.py").read_text(encoding="utf-8"))
    assert written is not None
    assert shown.stdout == f"flycast-probe {written[1]}\n"


def test_the_version_is_shown_without_heavy_imports() -> None:
    script = (
        "import sys\nfrom shell.cli import main\nmain(['--version'])\n"
        "print(sorted({'rich', 'dns', 'asyncio', 'ssl', 'json', 'socket'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.splitlines()[1] == "[]"


@pytest.mark.parametrize("command", [[], ["names"], ["wake"], ["hello"], ["watch"]])
def test_help_has_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert "examples:\n  flycast-probe " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["nap"], "invalid choice: 'nap'"),
        (["wake", "shop", "--fast"], "unrecognized arguments: --fast"),
        (["wake"], "APP"),
        (["wake", "shop.flycast"], "expected the name of an app"),
        (["wake", "shop", "--count", "0"], "expected a whole number from 1 to 10000, got '0'"),
        (["wake", "shop", "--wait", "nan"], "expected seconds from 0 to 86400, got 'nan'"),
        (["wake", "shop", "--timeout", "0"], "expected more than 0 seconds, 86400 at most, got '0'"),
        (["doctor", "shop", "--timeout", "0"], "expected more than 0 seconds, 86400 at most, got '0'"),
        (["hello", "shop", "--timeout", "0"], "expected more than 0 seconds, 86400 at most, got '0'"),
        (["wake", "shop", "--path", "/a\r\nX: y"], "expected a path that begins with /"),
        (["wake", "shop", "--port", "65536"], "expected a whole number from 1 to 65535"),
        (["wake", "shop", "--port", "1", "--tcp"], "not allowed with argument"),
        (["wake", "shop", "--dns", "nowhere"], "--dns: expected ADDR, ADDR:PORT or [ADDR]:PORT, got 'nowhere'"),
        (["names"], "expected an APP, a NAME with a dot in it, or --org, got nothing"),
        (["names", "Shop_1"], "expected the name of an app"),
        (["names", "a..b"], "expected a DNS name"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1, err


def test_names_shows_every_answer_and_the_machines(nameserver: ScriptedDns, capsys: pytest.CaptureFixture[str]) -> None:
    dns = sleeping(nameserver)
    nameserver.script["shop.internal", "AAAA"] = records("AAAA")
    assert main(["names", "shop", dns]) == 0
    out = capsys.readouterr().out
    assert re.search(r"shop\.internal +AAAA +name exists, but no record of this type \(NODATA\)", out)
    assert out.startswith(f"shop, asked {nameserver.server}\n")
    assert re.search(r"^::1 +loopback$", out, re.MULTILINE)
    assert "shop: 0 started of 1 deployed Machines" in out
    assert re.search(r"3d8d9014b32d89 +ams +asleep", out)


def test_names_shows_the_organisation_after_the_app_and_only_on_demand(
    nameserver: ScriptedDns, capsys: pytest.CaptureFixture[str]
) -> None:
    dns = sleeping(nameserver)
    assert main(["names", "shop", dns]) == 0
    assert "_apps.internal" not in capsys.readouterr().out
    assert main(["names", "--org", "shop", dns]) == 0
    out = capsys.readouterr().out
    assert out.index("shop: 0 started of 1") < out.index(f"the organisation, asked {nameserver.server}\n")
    assert re.search(r"_apps\.internal +TXT +shop +5 ", out)


def test_names_shows_hostile_texts_as_codes(nameserver: ScriptedDns, capsys: pytest.CaptureFixture[str]) -> None:
    nameserver.script["_apps.internal", "TXT"] = raw_text(b"\x1b]0;owned\x07\x9b2J")
    assert main(["names", "_apps.internal", f"--dns={nameserver.server}"]) == 0
    out = capsys.readouterr().out
    assert r"\x1b]0;owned\x07" in out
    assert not set(out) & {"\x1b", "\x07", "\x9b"}


def test_names_in_json_is_one_object_and_tells_what_is_not_well(
    nameserver: ScriptedDns, capsys: pytest.CaptureFixture[str]
) -> None:
    dns = sleeping(nameserver)
    assert main(["names", "shop", "none", "--json", dns]) == 1
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert [survey["ok"] for survey in record["surveys"]] == [True, False]
    assert err.startswith("flycast-probe: no app none in this private network")


def test_wake_times_and_proves_a_cold_start(nameserver: ScriptedDns) -> None:
    dns = sleeping(nameserver)
    with ScriptedServer(COLD, WARM) as server:
        done = probe("wake", "shop", dns, f"--port={server.port}", "--warm=2")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"http://shop.flycast:{server.port}/ [::1], in ms\n" in done.stdout
    assert "cold proven: the app's process is 20 ms old, younger than the request" in done.stdout
    assert "+ boot 10 + answer 10 + body " in done.stdout
    assert re.search(r"^cold( +[\d.]+){4} +200 +d890 +proven$", done.stdout, re.MULTILINE)
    assert re.search(r"^warm median( +[\d.]+){4}$", done.stdout, re.MULTILINE)
    assert re.search(r"\n\ncold and warm, .*\n.*\ncold +1( +[\d.]+){4}\nwarm +2( +[\d.]+){4}\n", done.stdout)
    assert "nothing kept: the other side closes the connection after each response" in done.stdout
    assert "\x1b" not in done.stdout


def test_ctrl_c_ends_a_wake_with_what_was_measured(nameserver: ScriptedDns) -> None:
    dns = sleeping(nameserver)
    arguments = ["wake", "shop", dns, "--warm=0", "--count=5", "--json"]
    with ScriptedServer(COLD, WARM) as server:
        command = [sys.executable, "-c", INTERRUPTIBLE, *arguments, f"--port={server.port}"]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        with process:
            assert process.stderr is not None
            assert next(line for line in process.stderr if "1 of 5" in line).startswith("1 of 5: cold ")
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=20)
    record = json.loads(out)
    assert process.returncode == 130
    assert (record["ok"], record["error"]) == (False, "interrupted")
    assert [request["proof"] for request in record["cycles"][0]["requests"]] == ["proven"]


def test_wake_refuses_to_call_an_old_process_cold(nameserver: ScriptedDns, capsys: pytest.CaptureFixture[str]) -> None:
    dns = sleeping(nameserver)
    with ScriptedServer(WARM) as server:
        assert main(["wake", "shop", dns, f"--port={server.port}", "--warm=0"]) == 1
    out = capsys.readouterr().out
    assert "cold not proven: the app's process is 60 s old" in out


def test_wake_of_the_hello_port_takes_the_app_after_the_option(
    nameserver: ScriptedDns, capsys: pytest.CaptureFixture[str]
) -> None:
    dns = sleeping(nameserver)
    with ScriptedServer(lambda connection: connection.sendall(b"hello\n")) as server:
        assert main(["wake", f"--tcp={server.port}", "shop", dns, "--json", "--warm=1"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["protocol"], record["cold"]["count"], record["warm"]["count"]) == ("tcp", 1, 1)
    nameserver.app("shop", "::1", deployed="", started="")
    assert main(["wake", "--tcp", "shop", dns]) == 1
    assert "app shop has no Machines" in capsys.readouterr().err


@pytest.mark.parametrize("as_json", [False, True])
def test_wake_says_in_one_line_what_is_not_well(
    nameserver: ScriptedDns, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    dns = f"--dns={nameserver.server}"
    flags = ["--json"] if as_json else []
    assert main(["wake", "none", dns, *flags]) == 1
    nameserver.app("awake", "::1", deployed="3d8d9014b32d89 ams", started="3d8d9014b32d89 ams")
    assert main(["wake", "awake", dns, "--wait=0", *flags]) == 1
    out, err = capsys.readouterr()
    assert err.splitlines()[0].startswith("flycast-probe: no app none in this private network")
    assert err.splitlines()[-1].startswith("flycast-probe: not asleep after 0 s (--wait)")
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["ok"] for record in records] == ([False, False] if as_json else [])
    assert all(record["error"] for record in records)


def test_a_closed_pipe_ends_without_a_traceback(nameserver: ScriptedDns) -> None:
    dns = sleeping(nameserver)
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = probe("names", "shop", dns, stdout=write_end)
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_full_disk_and_a_closed_stdout_end_without_a_traceback(nameserver: ScriptedDns) -> None:
    dns = sleeping(nameserver)
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = probe("names", "shop", dns, stdout=full.fileno())
    assert done.returncode == 1
    assert done.stderr == "flycast-probe: cannot write the result: No space left on device\n"
    shell = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -m shell names shop {dns} >&-', sys.executable],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    assert (shell.returncode, shell.stderr) == (0, "")


def test_ctrl_c_leaves_130_and_a_clean_terminal(nameserver: ScriptedDns) -> None:
    nameserver.app("shop", "::1", deployed="3d8d9014b32d89 ams", started="3d8d9014b32d89 ams")
    controller, terminal = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE, "wake", "shop", f"--dns={nameserver.server}"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
            env={**os.environ, "TERM": "xterm"},
        )
        os.close(terminal)
        seen = b""
        while b"Machines up" not in seen:
            seen += os.read(controller, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        rest = seen + os.read(controller, 65536)
        assert rest.endswith(b"\r\x1b[2K"), rest
        assert b"Traceback" not in rest
    finally:
        os.close(controller)
