"""A laptop before its tunnel is up, and a lab or a host that has no tunnel to offer."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.leftovers import left_by
from tests.e2e.running import DEADLINE_SECONDS, LAB, PROJECT, RunningLab
from tests.e2e.test_rootless import ROOT_HAS_NO_OTHER_ID, WITHOUT_RIGHTS

if TYPE_CHECKING:
    from pathlib import Path

wireguard = pytest.mark.wireguard

KNOCK = """
import errno, socket
host, opened, others = "203.0.113.1", [], set()
for port in range(1, 65536):
    with socket.socket() as knocking:
        knocking.settimeout(2)
        number = knocking.connect_ex((host, port))
    if number == 0:
        opened.append(port)
    elif number != errno.ECONNREFUSED:
        others.add(number)
print("tcp", opened, others)
silent = []
for port in (53, 51819, 51820, 51821):
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.3)
        asking.connect((host, port))
        asking.send(b"?")
        try:
            asking.recv(9)
        except TimeoutError:
            silent.append(port)
        except ConnectionRefusedError:
            pass
print("udp", silent)
"""


def run(*arguments: str, prefix: tuple[str, ...] = (), path: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, *LAB, *arguments],
        capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=PROJECT, check=False,
        env={**os.environ, "PATH": path or os.environ["PATH"]},
    )  # fmt: skip


@wireguard
@pytest.mark.long
def test_before_the_tunnel_is_up_only_the_gateways_udp_port_is_there() -> None:
    script = f"""
    {sys.executable} -c '{KNOCK}'
    ip route add 172.16.0.0/12 via 203.0.113.1 dev eth0 onlink
    curl -s -m0.5 http://172.19.0.10:8080; curl -s -m0.5 http://172.19.0.2:8080; curl -s -m0.5 http://172.16.0.2
    for via in $(ping -6 -c2 -i0.2 ff02::1%eth0 | grep -o 'fe80::[0-9a-f:]*[0-9a-f]' | sort -u); do
        ip -6 route replace fdaa::/16 via $via dev eth0
        curl -s -m0.5 'http://[fdaa:0:18:0:1::2]'
    done
    ip -6 route del fdaa::/16
    wg-quick up /run/laptop/peer.conf
    dig _apps.internal TXT +short
    """
    done = run("run", "--laptop", "--no-tunnel", "--", "sh", "-c", script)
    assert done.stdout.splitlines() == ["tcp [] set()", "udp [51820]", '"private-svc"'], done.stderr
    assert "bring it up there with: wg-quick up /run/laptop/peer.conf" in done.stderr


@pytest.mark.long
@wireguard
def test_without_any_capability_the_tunnel_works() -> None:
    asked = ("curl", "-sS", "http://private-svc.flycast/healthz")
    done = run("run", "--laptop", *ROOT_HAS_NO_OTHER_ID, "--", *asked, prefix=WITHOUT_RIGHTS)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


@pytest.mark.long
@wireguard
def test_kill_9_leaves_nothing_of_the_tunnel() -> None:
    command = [*LAB, "run", "--laptop", "--", "sh", "-c", "echo up; exec sleep 1000"]
    assert left_by(command, "up") == []


@pytest.mark.long
@wireguard
def test_a_laptops_resolver_follows_the_tunnels_that_are_up() -> None:
    script = """
    echo nameserver ::1 | resolvconf -a one -m 0 -x
    echo nameserver ::2 | resolvconf -a two
    resolvconf -d one -f; cat /etc/resolv.conf
    resolvconf -d two; cat /etc/resolv.conf
    resolvconf -x; echo $?
    """
    done = run("run", "--laptop", "--no-tunnel", "--", "sh", "-c", script)
    assert done.stdout == "nameserver ::2\n# The lab's internet has no resolver.\n2\n", done.stderr


def test_a_host_without_the_tools_is_told_how_to_get_them() -> None:
    done = run("run", "--laptop", "--", "true", path="/nonexistent")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "flycast-lab: --laptop: no WireGuard tunnel can be had here: not installed: wg, wg-quick, wireguard-go, ip; "
        "install with: apt-get install iproute2 wireguard-go wireguard-tools\n"
    )


@wireguard
def test_a_host_without_a_tun_device_is_told_how_to_get_one() -> None:
    hidden = ("unshare", "--map-root-user", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh")
    done = run("run", "--laptop", "--", "true", prefix=hidden)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "/dev/net/tun: No such file or directory; as root: modprobe tun" in done.stderr
    assert "modprobe tun" in run("doctor", prefix=hidden).stdout


@pytest.mark.long
@wireguard
@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("wireguard-go", "the WireGuard gateway of personal did not come up: out of order\n"),
        ("wg-quick", "'wg-quick up /run/laptop/peer.conf' on the laptop ended with status 3; it said why above\n"),
    ],
)
def test_a_program_that_fails_is_told_of_and_the_lab_ends(tmp_path: Path, program: str, said: str) -> None:
    broken = tmp_path / program
    broken.write_text("#!/bin/sh\necho out of order >&2; exit 3\n")
    broken.chmod(0o755)
    done = run("run", "--laptop", "--", "echo", "here", path=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f"flycast-lab: {said}")
    assert "out of order" in done.stderr


def test_no_tunnel_without_a_laptop_is_a_mistake() -> None:
    done = run("run", "--no-tunnel", "--", "true")
    assert done.returncode == 2
    assert "expected --laptop" in done.stderr


@pytest.mark.lab
def test_a_lab_without_a_laptop_says_how_to_have_a_gateway() -> None:
    with RunningLab() as lab:
        done = run("wireguard", "list", "--lab", str(lab.process.pid))
    assert done.returncode == 1
    assert "flycast-lab up --laptop" in done.stderr
