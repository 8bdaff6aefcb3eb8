"""Faults put into a real tunnel: `doctor` on the laptop names each, and no other."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from shell.doctor.faults import Fault
from tests.e2e.running import RunningLab
from tests.wireguard.shop import write_shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.wireguard, pytest.mark.long]

PREFIX, PEER_FILE = "fdaa:0:18", "/run/laptop/peer.conf"
DOCTOR = f"{sys.executable} -m shell doctor private-svc --json"
UP, DOWN = f"wg-quick up {PEER_FILE}", "ip link delete peer"
TABLE = "nft add table inet bad; nft add chain inet bad {0} '{{ type filter hook {0} priority 0 ; }}'"
RULE = "nft add rule inet bad {} udp {} 51820 {} drop"
MENDED = "nft delete table inet bad"


def dropping(direction: str, port: str, what: str = "") -> str:
    """Let a firewall drop the tunnel's packets, those of a size for example, and say nothing."""
    return f"{TABLE.format(direction)}; {RULE.format(direction, port, what)}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    shop = write_shop(tmp_path_factory.mktemp("shop"))
    with RunningLab("--laptop", "--org", f"other={shop}") as running:
        yield running


def examine(lab: RunningLab, *, fault: str = ":", doctor: str = DOCTOR, mend: str = ":") -> dict[str, Any]:
    """Put a fault into the laptop, ask doctor, mend it, and return the last rung."""
    done = lab.on("laptop", "sh", "-c", f"( {fault} ) >&2; {doctor}; ( {mend} ) >&2")
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}{lab.tail()}"
    report: dict[str, Any] = json.loads(done.stdout)
    last: dict[str, Any] = report["rungs"][-1]
    assert all(rung["fault"] is None for rung in report["rungs"][:-1]), report["rungs"]
    return last | {"rungs": [rung["rung"] for rung in report["rungs"]], "all": f"{report['rungs']}{done.stderr}"}


def test_a_laptop_with_its_tunnel_up_is_well_from_the_peer_file_to_the_app(lab: RunningLab) -> None:
    last = examine(lab, doctor=f"{DOCTOR} --wireguard {PEER_FILE}")
    assert last["fault"] is None, last["all"]
    expected = ["peer file", "tunnel", "tunnel carries", "tunnel's DNS", "names in a browser", "packet size"]
    assert last["rungs"][:6] == expected


def test_a_shell_machine_is_no_laptop(lab: RunningLab) -> None:
    done = lab.on("shell", "sh", "-c", DOCTOR)
    assert json.loads(done.stdout)["rungs"][0]["rung"] == "private nameserver", done.stdout


def test_no_tunnel(lab: RunningLab) -> None:
    last = examine(lab, fault=f"wg-quick down {PEER_FILE}", mend=UP)
    assert last["fault_text"] == Fault.NO_TUNNEL, last["all"]


@pytest.mark.parametrize(
    ("nameserver", "fault"), [("fdaa::3", Fault.WRONG_NAMESERVER), ("127.0.0.53", Fault.DNS_NOT_SET)]
)
def test_a_nameserver_that_is_not_the_tunnel_s(lab: RunningLab, nameserver: str, fault: Fault) -> None:
    fault_made = f"echo nameserver {nameserver} >/etc/resolv.conf"
    last = examine(lab, fault=fault_made, mend=f"echo nameserver {PREFIX}::3 >/etc/resolv.conf")
    assert last["fault_text"] == fault, last["all"]
    assert f"DNS = {PREFIX}::3" in last["command"]


def test_an_app_of_another_organisation(lab: RunningLab) -> None:
    last = examine(lab, doctor=DOCTOR.replace("private-svc", "shop"))
    assert (last["rung"], last["fault_text"]) == ("organisation", Fault.WRONG_ORGANISATION), last["all"]


def test_a_route_that_was_removed(lab: RunningLab) -> None:
    route = f"{PREFIX}::/48 dev peer"
    last = examine(lab, fault=f"ip -6 route del {route}", mend=f"ip -6 route add {route}")
    assert last["fault_text"] == Fault.TUNNEL_NO_ROUTE, last["all"]


ANOTHER_KEY = f"""
mkdir -pm 700 /run/laptop/wrong
sed "s|^PrivateKey.*|PrivateKey = $(wg genkey)|" {PEER_FILE} >/run/laptop/wrong/peer.conf
{DOWN}; wg-quick up /run/laptop/wrong/peer.conf
"""
BLOCKED = f"{DOWN}; {dropping('output', 'dport')}; {UP}"


@pytest.mark.parametrize("fault", [ANOTHER_KEY, BLOCKED], ids=["another key", "UDP blocked"])
def test_silence_from_the_start_is_a_missing_handshake(lab: RunningLab, fault: str) -> None:
    last = examine(lab, fault=fault, mend=f"{MENDED}; {DOWN}; {UP}")
    assert last["fault_text"] == Fault.NO_HANDSHAKE, last["all"]
    assert "never a handshake" in last["got"]


def test_silence_after_a_handshake_is_told_apart(lab: RunningLab) -> None:
    own = f"ip -6 address replace {PREFIX}:dead:beef:0:a:2/120 dev peer preferred_lft forever"
    remove = "ip -6 address del $(ip -6 -o address show dev peer scope global | awk '{print $4}' | head -n1) dev peer"
    last = examine(lab, fault=f"{remove}; {own}", mend=f"{DOWN}; {UP}")
    assert last["fault_text"] == Fault.TUNNEL_SILENT, last["all"]


def test_a_black_hole_on_the_way_out_is_found_by_size(lab: RunningLab) -> None:
    # WireGuard rounds up to 16 bytes and adds 60: the most that 1420 bytes outside have room for is 1360.
    last = examine(lab, fault=dropping("output", "dport", "meta length '>' 1420"), mend=MENDED)
    assert last["fault_text"] == Fault.MTU_TOO_LARGE, last["all"]
    assert last["command"].startswith("MTU = 1360 under [Interface]")


def test_a_path_that_is_too_narrow_for_ipv6_is_named(lab: RunningLab) -> None:
    last = examine(lab, fault=dropping("output", "dport", "meta length '>' 1300"), mend=MENDED)
    assert last["fault_text"] == Fault.PATH_TOO_NARROW, last["all"]


def test_a_black_hole_on_the_way_back_is_found_by_size(lab: RunningLab) -> None:
    fault = dropping("input", "sport", "meta length '>' 1420")
    last = examine(lab, fault=fault, doctor=f"{DOCTOR} --timeout 5", mend=MENDED)
    assert (last["rung"], last["fault_text"]) == ("HTTP answer", Fault.MTU_TOO_LARGE), last["all"]
    assert last["command"].startswith("MTU = 1360 under [Interface]")


@pytest.mark.browser
def test_chromium_resolves_flycast_names_once_a_route_tells_it_that_there_is_ipv6(
    lab: RunningLab, tmp_path: Path
) -> None:
    chromium = f"chromium --headless --no-sandbox --disable-gpu --user-data-dir={tmp_path}/profile --dump-dom"
    look = f"timeout 60 {chromium} http://private-svc.flycast/"
    said = lab.on("laptop", "sh", "-c", look)
    assert "ERR_NAME_NOT_RESOLVED" in said.stderr, f"{said}{lab.tail()}"
    cured = f"""
    mkdir -pm 700 {tmp_path}/cured
    sed 's|^AllowedIPs.*|&, 2001:4860:4860::8888/128|' {PEER_FILE} >{tmp_path}/cured/peer.conf
    {DOWN}; wg-quick up {tmp_path}/cured/peer.conf; {look}; {DOWN}; {UP}
    """
    said = lab.on("laptop", "sh", "-c", cured)
    assert "<title>private-svc</title>" in said.stdout, f"{said}{lab.tail()}"


def test_a_file_that_wg_quick_refuses_is_named_before_it_is_tried(lab: RunningLab) -> None:
    name = "a-laptop-of-mine-at-home.conf"
    last = examine(
        lab, fault=f"cp -p {PEER_FILE} /run/laptop/{name}", doctor=f"{DOCTOR} --wireguard /run/laptop/{name}"
    )
    assert last["fault_text"] == Fault.INTERFACE_NAME, last["all"]
    refused = lab.on("laptop", "wg-quick", "up", f"/run/laptop/{name}")
    assert refused.returncode != 0
    assert "must be a valid interface name" in refused.stderr
