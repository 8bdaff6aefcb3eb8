from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shell.cli import main
from tests.shell.scripted_dns import empty_texts, silence
from tests.shell.scripted_http import ScriptedServer, answering, keeping, timing

if TYPE_CHECKING:
    from tests.shell.scripted_dns import ScriptedDns

ROOT = Path(__file__).parents[2]
COLD = answering(headers=timing(boot_ms=10, age_ms=20), before_seconds=0.08)
WARM = keeping(timing(boot_ms=10, age_ms=60_000))


@pytest.fixture
def dns(nameserver: ScriptedDns) -> str:
    """Describe a sleeping app; return the option that asks this nameserver."""
    nameserver.app("shop", "::1", deployed="d890 ams", started="")
    return f"--dns={nameserver.server}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sleep=nap"], "expected stop, suspend or stop,suspend, got 'nap'"),
        (["--sleep=stop,stop"], "got 'stop,stop'"),
        (["--budget", "hot=1"], "expected cold|resumed|warm|kept, then perhaps .median|min|p90|max, got 'hot'"),
        (["--svg", "/dev/null"], "expected a file to write, got '/dev/null'"),
        (["--sleep"], "expected the app's token in the environment variable ADMIN_TOKEN, got nothing"),
        (["--sleep=suspend", "--tcp"], "ADMIN_TOKEN"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_status_2(
    arguments: list[str], words: str, dns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADMIN_TOKEN", raising=False)
    assert main(["wake", *arguments, "shop", dns]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1, err


@pytest.mark.parametrize(("options", "exit_status"), [((), 1), (("--fail-on=4xx",), 1), (("--fail-on=5xx",), 0)])
def test_answers_that_are_errors_are_timed_and_told_and_not_well(
    options: tuple[str, ...], exit_status: int, dns: str, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = answering(status="404 Not Found", headers=timing(boot_ms=10, age_ms=20), before_seconds=0.08)
    with ScriptedServer(missing, WARM) as server:
        arguments = ["wake", "shop", dns, f"--port={server.port}", "--warm=1", "--path=/nope", *options]
        assert main(arguments) == exit_status
    told = "flycast-probe: 1 of 3 answers were errors (404), timed all the same: is /nope what you meant?"
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith(told) for line in lines] == [True] * exit_status


def test_a_breach_is_a_line_and_status_3(dns: str, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(COLD, WARM) as server:
        budget = "--budget=cold=60000,cold.max=1,kept=0"
        assert main(["wake", "shop", dns, f"--port={server.port}", "--warm=2", budget]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" ms")[0].rpartition(" is ")[0] for line in lines] == [
        "flycast-probe: over budget: cold max",
        "flycast-probe: over budget: kept median",
    ]


def test_a_budget_that_is_kept_is_status_0(dns: str, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(COLD, WARM) as server:
        assert main(["wake", "shop", dns, f"--port={server.port}", "--warm=2", "--budget=cold=60000,kept=60000"]) == 0
    assert capsys.readouterr().err == ""


def test_not_well_counts_more_than_over_budget(dns: str, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(WARM) as server:
        assert main(["wake", "shop", dns, f"--port={server.port}", "--warm=1", "--budget=warm=0", "--json"]) == 1
    out, err = capsys.readouterr()
    assert [breach["kind"] for breach in json.loads(out)["over_budget"]] == ["warm"]
    assert "over budget: warm median" in err


def test_a_chart_is_written_beside_the_table(dns: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    chart = tmp_path / "wake.svg"
    with ScriptedServer(COLD, WARM) as server:
        assert main(["wake", "shop", dns, f"--port={server.port}", "--warm=1", f"--svg={chart}"]) == 0
    assert capsys.readouterr().out.startswith("http://shop.flycast")
    assert "shop: 1 cold, 1 warm, 1 kept requests, " in chart.read_text(encoding="utf-8")
    assert [entry.name for entry in tmp_path.iterdir()] == ["wake.svg"]


def test_a_list_that_comes_empty_without_a_string_is_an_app_asleep(nameserver: ScriptedDns, dns: str) -> None:
    nameserver.script["vms.shop.internal", "TXT"] = empty_texts()
    with ScriptedServer(COLD, WARM, WARM) as server:
        assert main(["wake", "shop", dns, f"--port={server.port}", "--warm=1"]) == 0


def test_a_chart_of_an_earlier_run_stays_when_nothing_was_measured(
    dns: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    chart = tmp_path / "wake.svg"
    chart.write_text("before", encoding="utf-8")
    assert main(["wake", "none", dns, f"--svg={chart}"]) == 1
    assert "no app none" in capsys.readouterr().err
    assert chart.read_text(encoding="utf-8") == "before"


def test_the_timeout_bounds_the_question_to_a_silent_nameserver(
    nameserver: ScriptedDns, dns: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nameserver.script["shop.flycast", "AAAA"] = silence
    began = time.monotonic()
    assert main(["wake", "shop", dns, "--timeout=0.3"]) == 1
    assert time.monotonic() - began < 2, "two tries of two seconds each would take four"
    assert "no address: no answer in time (timeout)" in capsys.readouterr().err


def test_the_token_is_read_from_the_environment_and_never_shown(nameserver: ScriptedDns, dns: str) -> None:
    token = "s3cret-0123456789"  # noqa: S105 - opens nothing
    nameserver.app("shop", "::1", deployed="d890 ams", started="d890 ams")
    with ScriptedServer(answering(token.encode(), status="401 Unauthorized")) as server:
        done = subprocess.run(
            [sys.executable, "-m", "shell", "wake", "--sleep", "shop", dns, f"--port={server.port}", "--json"],
            cwd=ROOT,
            env={**os.environ, "ADMIN_TOKEN": token},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1, done.stderr
    assert "401: the token was not accepted" in done.stderr
    assert token not in done.stdout + done.stderr
