"""A laptop with a WireGuard tunnel into the lab, by the real tools: what it sees, and what it does not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.running import DEADLINE_SECONDS, LAB, PROJECT, RunningLab
from tests.wireguard.shop import write_shop

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.wireguard

PEER = r"fdaa:0:18:a7b:[0-9a-f]+:0:a:2"
PREFIX = "fdaa:0:18"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    shop = write_shop(tmp_path_factory.mktemp("shop"))
    with RunningLab("--laptop", "--org", f"other={shop}") as running:
        yield running


def on_laptop(lab: RunningLab, script: str, laptop: str = "laptop") -> str:
    done = lab.on(laptop, "sh", "-c", script)
    assert done.returncode == 0, f"$ {script}\nexit {done.returncode}\n{done.stdout}{done.stderr}{lab.tail()}"
    return done.stdout


def flycast_lab(lab: RunningLab, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    command = [*LAB, "wireguard", words[0], "--lab", str(lab.process.pid), *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
    assert done.returncode == status, f"{done.stdout}{done.stderr}{lab.tail()}"
    return done


def test_the_names_of_flys_own_documents_answer(lab: RunningLab) -> None:
    assert on_laptop(lab, "dig _apps.internal TXT +short") == '"private-svc"\n'
    assert re.fullmatch(rf"{PREFIX}:\S+\n", on_laptop(lab, f"dig +short aaaa private-svc.internal @{PREFIX}::3"))
    assert on_laptop(lab, "cat /etc/resolv.conf") == f"nameserver {PREFIX}::3\n"


@pytest.mark.long
def test_a_machine_answers_ping_behind_one_router(lab: RunningLab) -> None:
    said = on_laptop(lab, "ping -6 -c2 -i0.2 private-svc.internal")
    assert "2 received" in said
    assert "ttl=63" in said


def test_the_service_sees_the_peers_address_directly_and_through_the_proxy(lab: RunningLab) -> None:
    direct = on_laptop(lab, "curl -sS http://private-svc.internal:8080/whoami")
    assert re.search(rf"^peer: {PEER}\ningress: six_pn\nclient: {PEER}$", direct, re.MULTILINE), direct
    proxied = on_laptop(lab, "curl -sS http://private-svc.flycast/whoami")
    assert re.search(rf"^ingress: flycast\nclient: {PEER}$", proxied, re.MULTILINE), proxied


def test_a_request_through_the_tunnel_wakes_a_machine_that_sleeps(lab: RunningLab) -> None:
    machine = next(machine["id"] for machine in lab.status()["machines"] if machine["app"] == "private-svc")
    subprocess.run(
        [*LAB, "machine", "stop", "--lab", str(lab.process.pid), machine],
        capture_output=True, timeout=DEADLINE_SECONDS, check=True,
    )  # fmt: skip
    assert on_laptop(lab, "dig +short aaaa private-svc.internal") == ""
    assert on_laptop(lab, "curl -sS http://private-svc.flycast/healthz") == "ok\n"


def test_hello_is_heard(lab: RunningLab) -> None:
    assert on_laptop(lab, "nc -w2 private-svc.flycast 1848; nc -w2 private-svc.internal 1848") == "hello\nhello\n"


@pytest.mark.long
def test_the_probe_works_on_a_laptop_whether_or_not_its_environment_is_activated(lab: RunningLab) -> None:
    assert str(Path(sys.executable).parent) in on_laptop(lab, "echo $PATH").strip().split(":")
    assert "private-svc.flycast" in on_laptop(lab, "flycast-probe names private-svc")
    on_laptop(lab, "flycast-probe doctor private-svc")


def test_a_laptop_sees_its_own_organisations_network_only(lab: RunningLab) -> None:
    assert on_laptop(lab, "dig _apps.internal TXT +short", "laptop.other") == '"shop"\n'
    assert "200 OK" in on_laptop(lab, "curl -sSI http://shop.flycast", "laptop.other")
    assert on_laptop(lab, "dig +short aaaa shop.flycast; dig +short aaaa shop.internal") == ""


def test_a_laptop_that_claims_another_networks_addresses_is_not_believed(lab: RunningLab) -> None:
    mine = on_laptop(lab, f"dig +short aaaa laptop._peer.internal @{PREFIX}::3").strip()
    script = f"""
    ip -6 route add {PREFIX}::/48 dev peer; ip -6 address add {mine}/128 dev peer
    wg set peer peer $(wg show peer peers) allowed-ips fdaa::/16
    dig +time=1 +tries=1 _apps.internal TXT +short @{PREFIX}::3
    ip -6 route del {PREFIX}::/48 dev peer; ip -6 address del {mine}/128 dev peer
    """
    assert "private-svc" not in on_laptop(lab, script, "laptop.other")
    assert on_laptop(lab, "dig _apps.internal TXT +short", "laptop.other") == '"shop"\n'


@pytest.mark.long
def test_a_peer_is_created_used_listed_and_removed(lab: RunningLab, tmp_path: Path) -> None:
    file = tmp_path / "second.conf"
    created = flycast_lab(lab, "create", "personal", "cdg", "my-second", str(file))
    assert "private key" in created.stderr
    assert created.stdout == ""
    assert file.stat().st_mode & 0o777 == 0o600
    listed = json.loads(flycast_lab(lab, "list", "personal", "--json").stdout)
    address = next(peer["peer_ip"] for peer in listed if peer["name"] == "my-second")
    assert [peer["region"] for peer in listed] == ["ams", "cdg"]
    assert f"{address}" in flycast_lab(lab, "list").stdout
    assert on_laptop(lab, "dig +short txt _peer.internal") == '"laptop,my-second"\n'
    assert on_laptop(lab, "dig +short aaaa my-second._peer.internal").strip() == address

    ask = "curl -sS -m5 http://private-svc.internal:8080/whoami"
    said = on_laptop(lab, f"wg-quick down /run/laptop/peer.conf && wg-quick up {file} && {ask}")
    assert f"client: {address}" in said
    flycast_lab(lab, "remove", "personal", "my-second")
    assert lab.on("laptop", "sh", "-c", "dig +time=1 +tries=1 _apps.internal TXT").returncode != 0
    on_laptop(lab, f"wg-quick down {file} && wg-quick up /run/laptop/peer.conf && {ask}")
    assert on_laptop(lab, "dig +short txt _peer.internal") == '"laptop"\n'


@pytest.mark.long
def test_a_generated_name_is_hidden_and_its_file_may_go_to_standard_output(lab: RunningLab) -> None:
    done = flycast_lab(lab, "create", "personal")
    assert done.stdout.startswith("\n[Interface]\nPrivateKey = ")
    found = re.search(r"'(interactive-[a-zA-Z0-9-]+)'", done.stderr)
    assert found, done.stderr
    assert on_laptop(lab, "dig +short txt _peer.internal") == '"laptop"\n'
    flycast_lab(lab, "remove", "personal", found[1])


@pytest.mark.long
def test_a_file_that_exists_is_kept_and_a_refused_peer_leaves_none(lab: RunningLab, tmp_path: Path) -> None:
    kept = tmp_path / "kept.conf"
    kept.write_text("mine")
    assert "exists" in flycast_lab(lab, "create", "personal", "ams", "x", str(kept), status=2).stderr
    assert kept.read_text() == "mine"
    refused = tmp_path / "refused.conf"
    assert "already" in flycast_lab(lab, "create", "personal", "ams", "laptop", str(refused), status=1).stderr
    assert not refused.exists()


@pytest.mark.long
def test_a_file_that_wg_quick_would_not_take_is_warned_about(lab: RunningLab, tmp_path: Path) -> None:
    for number, name in enumerate(("a-laptop-with-a-long-name.conf", "my laptop.conf", "my-laptop")):
        created = flycast_lab(lab, "create", "other", "ams", f"named-{number}", str(tmp_path / name))
        assert "Rename it: wg-quick" in created.stderr, name


@pytest.mark.long
def test_who_asks_for_what_is_not_there_is_told_what_is(lab: RunningLab) -> None:
    assert "there are: personal, other" in flycast_lab(lab, "list", "nobody", status=1).stderr
    assert "there are: laptop" in flycast_lab(lab, "remove", "personal", "nobody", status=1).stderr


def test_run_brings_the_tunnel_up_shows_how_and_exits_as_the_program() -> None:
    done = subprocess.run(
        [*LAB, "run", "--laptop", "--", "sh", "-c", "dig _apps.internal TXT +short; exit 7"],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=PROJECT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, '"private-svc"\n'), done.stderr
    assert "$ wg-quick up /run/laptop/peer.conf\n" in done.stderr
