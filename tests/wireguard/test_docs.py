"""docs/wireguard.md: the lab's part is run as it stands, and every rung of a laptop is in its table."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shell.doctor.faults import Fault
from tests.blocks import PROJECT, blocks_of
from tests.e2e.running import DEADLINE_SECONDS, RunningLab

PAGE = PROJECT / "docs" / "wireguard.md"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
OF_A_LAPTOP = [
    Fault.INTERFACE_NAME,
    Fault.PEER_FILE_MODE,
    Fault.PEER_FILE,
    Fault.NO_TUNNEL,
    Fault.TUNNEL_NO_ROUTE,
    Fault.NO_HANDSHAKE,
    Fault.TUNNEL_SILENT,
    Fault.WRONG_NAMESERVER,
    Fault.DNS_NOT_SET,
    Fault.MTU_TOO_LARGE,
    Fault.PATH_TOO_NARROW,
    Fault.WRONG_ORGANISATION,
]


def lines_for(test: str) -> list[str]:
    return [line for block in blocks_of(PAGE) if block.test == test for line in block.commands()]


def bash(line: str, directory: Path = PROJECT) -> str:
    done = subprocess.run(
        ["bash", "-c", line], cwd=directory, env=os.environ | {"PATH": PATH}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"$ {line}\nexit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_rung_of_a_laptop_is_explained() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [fault for fault in OF_A_LAPTOP if fault not in rows] == []


@pytest.mark.wireguard
@pytest.mark.long
@pytest.mark.parametrize("line", lines_for("test_one_command_reaches_the_app_through_the_tunnel"))
def test_one_command_reaches_the_app_through_the_tunnel(line: str) -> None:
    assert "private-svc" in bash(line)


@pytest.mark.wireguard
@pytest.mark.long
def test_the_walk_with_a_peer_of_one_s_own_works_as_it_stands(tmp_path: Path) -> None:
    up, *lines = lines_for("test_the_walk_with_a_peer_of_one_s_own_works_as_it_stands")
    assert lines.pop() == "flycast-lab down"
    with RunningLab(*up.split()[2:]) as lab:
        for line in lines:
            # Other tests have labs up, too, so here a lab has to be named.
            said = bash(
                re.sub(r"^flycast-lab (wireguard \w+|\w+)", rf"flycast-lab \1 --lab {lab.process.pid}", line), tmp_path
            )
            assert said or "wg-quick" in line or " create " in line, f"{line}: no output{lab.tail()}"
