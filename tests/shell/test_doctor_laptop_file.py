"""The peer file: what Fly writes is well, and each thing that is not is named with its line and the fix."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shell.cli import main
from shell.doctor.faults import Fault
from shell.doctor.finding import Verdict
from shell.doctor.tunnel import judge_file
from shell.errors import UsageError
from shell.wireguard import content_flaws, nameserver_of, parse_peer_file, read_peer_file

if TYPE_CHECKING:
    from shell.doctor.finding import Finding

PRIVATE_KEY = "cFJpdmF0ZUtleU5ldmVyU2hvd25Ub0FueW9uZTEyMzQ="
PUBLIC_KEY = "UHVibGljS2V5T2ZUaGVHYXRld2F5MTIzNDU2Nzg5MDE="
AS_FLY_WRITES_IT = f"""\
[Interface]
PrivateKey = {PRIVATE_KEY}
Address = fdaa:0:18:a7b:d6b:0:a:2/120
DNS = fdaa:0:18::3

[Peer]
PublicKey = {PUBLIC_KEY}
AllowedIPs = fdaa:0:18::/48
Endpoint = 198.51.100.7:51820
PersistentKeepalive = 15

"""
EDITS = [
    ("DNS = fdaa:0:18::3", "DNS = fdaa::3", 4, "DNS = fdaa:0:18::3"),
    ("DNS = fdaa:0:18::3", "DNS = fdaa:0:19::3", 4, "DNS = fdaa:0:18::3"),
    ("DNS = fdaa:0:18::3", "DNS = 1.1.1.1, internal", 4, "DNS = fdaa:0:18::3"),
    ("DNS = fdaa:0:18::3\n", "", 0, "DNS = fdaa:0:18::3"),
    ("2/120", "2/128", 3, "Address = fdaa:0:18:a7b:d6b:0:a:2/120"),
    ("fdaa:0:18:a7b:d6b:0:a:2/120", "10.0.0.2/32", 3, "Address = fdaa:"),
    ("Address = ", "Adress = ", 0, "Address = fdaa:"),
    ("DNS =", "MTU = 1279\nDNS =", 4, "MTU = 1280"),
    ("DNS =", "MTU = huge\nDNS =", 4, "MTU = 1280"),
    ("fdaa:0:18::/48", "fdaa:0:19::/48", 8, "AllowedIPs = fdaa:0:18::/48"),
    ("fdaa:0:18::/48", "fdaa:0:18::/64", 8, "AllowedIPs = fdaa:0:18::/48"),
    ("fdaa:0:18::/48", "0.0.0.0/0", 8, "AllowedIPs = fdaa:0:18::/48"),
    ("Endpoint = 198.51.100.7:51820", "Endpoint = 198.51.100.7", 9, "Endpoint = "),
    ("Endpoint = 198.51.100.7:51820", "Endpoint = fdaa::7:51820", 9, "Endpoint = "),
    ("198.51.100.7:51820", "gateway.example:0", 9, "Endpoint = "),
    ("PersistentKeepalive = 15", "PersistentKeepalive = 0", 10, "PersistentKeepalive = 15"),
    ("PersistentKeepalive = 15", "PersistentKeepalive = off", 10, "PersistentKeepalive = 15"),
    (PRIVATE_KEY, PRIVATE_KEY[:-2], 2, "fly wireguard create"),
    (f"PublicKey = {PUBLIC_KEY}", "PublicKey =", 7, "fly wireguard create"),
    ("[Peer]", "Peer", 0, "fly wireguard create"),
    ("PersistentKeepalive = 15", "PersistentKeepalive 15", 10, "KEY = VALUE"),
]


def judged(text: str, name: str = "laptop.conf", mode: int = 0o600) -> list[Finding]:
    return list(judge_file("shop", parse_peer_file(text, name, mode)))


def write(path: Path, text: str = AS_FLY_WRITES_IT, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    "text",
    [
        AS_FLY_WRITES_IT,
        AS_FLY_WRITES_IT.lower().replace(PRIVATE_KEY.lower(), PRIVATE_KEY).replace(PUBLIC_KEY.lower(), PUBLIC_KEY),
        AS_FLY_WRITES_IT.replace("\n", "  # a comment\r\n"),
        AS_FLY_WRITES_IT.replace("DNS = fdaa:0:18::3", "DNS = fdaa:0:18:0::3, internal\nMTU = 1280"),
        AS_FLY_WRITES_IT.replace("fdaa:0:18::/48", "fdaa:0:18::/48, ::/0"),
        AS_FLY_WRITES_IT.replace("198.51.100.7", "[2001:db8::7]"),
        AS_FLY_WRITES_IT.replace("198.51.100.7", "ams1.gateway.example"),
    ],
)
def test_what_fly_writes_and_what_means_the_same_is_well(text: str) -> None:
    (finding,) = judged(text)
    assert finding.verdict is Verdict.OK, finding
    assert "fdaa:0:18:a7b:d6b:0:a:2, network fdaa:0:18::/48" in finding.got


@pytest.mark.parametrize(("was", "now", "line", "fix"), EDITS)
def test_each_wrong_line_is_named_with_the_right_one(was: str, now: str, line: int, fix: str) -> None:
    assert was in AS_FLY_WRITES_IT
    flaws = content_flaws(parse_peer_file(AS_FLY_WRITES_IT.replace(was, now, 1), "laptop.conf", 0o600))
    assert any(flaw.line == line and fix in flaw.fix for flaw in flaws), flaws


def test_all_that_is_wrong_is_named_at_once_in_the_order_of_the_file() -> None:
    text = AS_FLY_WRITES_IT.replace("::3", "::4").replace("/120", "/64").replace("= 15", "= 0")
    findings = judged(text, "a-name-of-more-than-fifteen.conf", 0o644)
    faults = [Fault.INTERFACE_NAME, Fault.PEER_FILE_MODE, *[Fault.PEER_FILE] * 3]
    assert [finding.fault for finding in findings] == faults
    assert [finding.got.partition(":")[0] for finding in findings[2:]] == ["line 3", "line 4", "line 10"]


@pytest.mark.parametrize("name", ["a" * 15 + ".conf", "fly_1=a+b.c-d.conf"])
def test_a_name_that_wg_quick_takes_is_well(name: str) -> None:
    assert [finding.fault for finding in judged(AS_FLY_WRITES_IT, name)] == [None]


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("a" * 16 + ".conf", "a" * 15),
        ("laptop", "laptop"),
        ("my laptop.conf", "mylaptop"),
        ("läptop.conf", "lptop"),
        (".conf", "fly"),
        ("$(reboot);.conf", "reboot"),
    ],
)
def test_a_name_that_wg_quick_refuses_gets_a_better_one(name: str, better: str) -> None:
    (finding,) = judged(AS_FLY_WRITES_IT, name)
    assert finding.fault is Fault.INTERFACE_NAME
    assert finding.command == f"mv FILE {better}.conf, then: wg-quick up ./{better}.conf"


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_the_owner_alone_is_well(mode: int) -> None:
    assert [finding.fault for finding in judged(AS_FLY_WRITES_IT, mode=mode)] == [None]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_a_file_that_others_may_open_is_not(mode: int) -> None:
    (finding,) = judged(AS_FLY_WRITES_IT, mode=mode)
    assert (finding.fault, finding.command) == (Fault.PEER_FILE_MODE, "chmod 600 FILE")


@pytest.mark.parametrize("key", ["PrivateKey", "Address", "DNS", "AllowedIPs", "Endpoint", "PersistentKeepalive", ""])
def test_no_key_is_ever_shown_wherever_it_was_put(key: str) -> None:
    lines = AS_FLY_WRITES_IT.splitlines()
    secret = f"{key} = {PRIVATE_KEY}" if key else PRIVATE_KEY
    changed = [secret if key and line.startswith(key) else line for line in lines] + ([] if key else [secret])
    for finding in judged("\n".join(changed)):
        assert PRIVATE_KEY[:20] not in repr(finding), finding


@pytest.mark.parametrize(
    "junk", ["", "\0" * 100, "[", "[]\n=\n", "= =\n" * 50, "\udcff".encode("utf-8", "replace").decode()]
)
def test_junk_is_no_peer_file_and_no_crash(junk: str) -> None:
    assert {finding.verdict for finding in judged(junk)} == {Verdict.FAILED}


def test_a_nameserver_is_the_third_address_of_its_network() -> None:
    assert nameserver_of("fdaa:0:18::/48") == "fdaa:0:18::3"


def test_what_is_no_file_is_a_usage_error_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"#" * 70_000)
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("missing", "pipe", "large", ".", "zero"):
        with pytest.raises(UsageError, match="--wireguard: "):
            read_peer_file(tmp_path / name)


def test_the_mode_is_read_from_the_file(tmp_path: Path) -> None:
    assert read_peer_file(write(tmp_path / "laptop.conf", mode=0o640)).mode == 0o640


def test_doctor_shows_every_flaw_and_goes_no_further(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "laptop.conf", AS_FLY_WRITES_IT.replace("fdaa:0:18::3", "fdaa::3"), 0o644)
    assert main(["doctor", "shop", f"--wireguard={path}", "--dns=127.0.0.1:9", "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert [rung["fault"] for rung in record["rungs"]] == ["peer_file_mode", "peer_file"]
    assert record["rungs"][1]["got"] == "line 4: DNS = fdaa::3, expected fdaa:0:18::3"


def test_a_good_file_of_a_tunnel_that_is_not_up_is_no_tunnel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "laptop.conf")
    assert main(["doctor", "shop", f"--wireguard={path}", "--dns=127.0.0.1:9"]) == 1
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("ok      peer file: ")
    assert second == "failed  tunnel: no tunnel"


def test_a_peer_file_does_not_go_with_here(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shell", "doctor", "--here", f"--wireguard={write(tmp_path / 'laptop.conf')}"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done
    assert "--wireguard: expected on a laptop" in done.stderr


def test_a_file_of_another_kind_is_told_once_and_not_line_by_line() -> None:
    file = parse_peer_file("app = 'shop'\nprimary_region = 'ams'\n" * 100, "fly.conf", 0o600)
    assert [flaw.got for flaw in content_flaws(file)] == ["no [Interface]"]
