from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.running import PROJECT

pytestmark = pytest.mark.lab

IN_A_NETWORK = ("unshare", "--user", "--map-root-user", "--net")
PROGRAM = """
import socket
from lab.errors import RefusedError
from lab.namespaces import inside, new_network_namespace
from lab.wire.netlink import LOOPBACK, Netlink

namespace = new_network_namespace()

def bind(address):
    with inside(namespace), socket.socket(socket.AF_INET6) as probe:
        probe.bind((address, 0))

def attempt(work):
    try:
        return work()
    except (RefusedError, OSError) as error:
        return error
"""


def said(script: str) -> list[str]:
    """Run a script with a fresh network namespace at hand; return the lines it prints."""
    command = [*IN_A_NETWORK, sys.executable, "-c", PROGRAM + script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_more_requests_than_one_packet_holds_are_all_done() -> None:
    lines = said("""
with Netlink(namespace) as network:
    for number in range(1, 1001):
        network.add_address(LOOPBACK, f"fdaa::{number:x}", 128)
print(attempt(lambda: bind("fdaa::1")), attempt(lambda: bind("fdaa::3e8")))
""")
    assert lines == ["None None"]


def test_nothing_is_done_before_it_is_sent() -> None:
    lines = said("""
with Netlink(namespace) as network:
    network.add_address(LOOPBACK, "fdaa::1", 128)
    print(attempt(lambda: bind("fdaa::1")))
    network.send()
    print(attempt(lambda: bind("fdaa::1")))
""")
    assert lines == ["[Errno 99] Cannot assign requested address", "None"]


def test_the_first_refused_request_is_named_with_its_errno_and_the_others_are_done() -> None:
    lines = said("""
def lay():
    with Netlink(namespace) as network:
        for number in (1, 2, 2, 2, 3):
            network.add_address(LOOPBACK, f"fdaa::{number}", 128)
        network.link_up(77)
print(attempt(lay))
print(attempt(lambda: bind("fdaa::3")))
""")
    assert lines == ["give interface 1 the address fdaa::2: EEXIST (File exists)", "None"]


def test_a_refused_setting_is_named_with_its_errno() -> None:
    lines = said('print(attempt(lambda: Netlink(namespace, [("net/ipv4/ip_forward", "x")])))')
    assert lines == ["write /proc/sys/net/ipv4/ip_forward: EINVAL (Invalid argument)"]
