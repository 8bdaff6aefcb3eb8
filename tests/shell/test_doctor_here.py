"""`doctor --here`: the table of its module, row by row, and the sockets of this very process."""

from __future__ import annotations

import os
import socket
from itertools import product

import pytest

from shell.doctor.faults import Fault
from shell.doctor.finding import Question, Verdict
from shell.doctor.here import Here, Reach, judge_port, look, read_hosts, try_port
from shell.doctor.listening import Listening, parse_table, read_sockets
from shell.phases import open_connection

HOSTS = """\
127.0.0.1\tlocalhost localhost.localdomain
::1\tlocalhost ip6-localhost
# Private address for this instance
fdaa:0:18:a7b:7d:f066:b83b:2\tfly-local-6pn
172.19.0.10\td890 d890.local # the Machine
172.19.0.11\tfly-global-services
"""
HERE = Here("fdaa:0:18:a7b:7d:f066:b83b:2", "172.19.0.10")
OTHERS = (Listening("::", 22, "1"), Listening("::", 3000, "2"))
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr
   0: 00000000000000000000000000000000:0738 00000000000000000000000000000000:0000 0A 0:0 0:0 0 10001 0 7
   1: 0000AAFD7B0A180066F07D0002003BB8:1F90 00000000000000000000000000000000:0000 0A 0:0 0:0 0 10001 0 8
   2: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:D431 01 0:0 0:0 0 10001 0 9
   3: short
"""


def test_the_hosts_file_gives_the_addresses_of_this_machine() -> None:
    assert read_hosts(HOSTS, "d890") == HERE
    assert read_hosts(HOSTS, "other") == Here(HERE.private_ip, "172.19.0.11")


@pytest.mark.parametrize("hosts", ["", "127.0.0.1 localhost", "::1 fly-local-6pn", "172.19.0.10 d890", "\x00\n#\n"])
def test_a_hosts_file_without_them_is_not_a_machine_s(hosts: str) -> None:
    assert read_hosts(hosts, "d890") is None
    finding = look(Question(""), hosts, "d890", (), open_connection)[0]
    assert finding.fault is Fault.NOT_IN_A_MACHINE


@pytest.mark.parametrize(("ipv4", "six_pn", "localhost6", "localhost4"), list(product((True, False), repeat=4)))
def test_every_row_of_the_table(ipv4: bool, six_pn: bool, localhost6: bool, localhost4: bool) -> None:
    expected: Fault | None
    match ipv4, six_pn, localhost6, localhost4:
        case True, True, _, _:
            expected = None
        case True, False, _, _:
            expected = Fault.IPV4_ONLY
        case False, True, True, _:
            expected = Fault.V6ONLY
        case False, True, False, _:
            expected = Fault.SIX_PN_ONLY
        case False, False, False, False:
            expected = Fault.WRONG_PORT
        case _:
            expected = Fault.LOCALHOST_ONLY
    reach = Reach(ipv4, six_pn, localhost6, localhost4)
    assert judge_port(8080, reach, OTHERS, "shop").fault is expected


def test_a_wrong_port_is_named_with_the_right_ones() -> None:
    nowhere = Reach(ipv4=False, six_pn=False, localhost6=False, localhost4=False)
    assert "what listens here is on 22, 3000" in judge_port(8080, nowhere, OTHERS, "shop").cause
    assert judge_port(8080, nowhere, (), "shop").fault is Fault.NO_SOCKET


def test_real_connections_tell_v6only_from_dual_stack() -> None:
    here = Here("::1", "127.0.0.1")
    for dual in (True, False):
        with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=dual) as listener:
            reach = try_port(here, listener.getsockname()[1], open_connection)
        assert reach == Reach(ipv4=dual, six_pn=True, localhost6=True, localhost4=dual)


def test_both_ports_are_looked_at_and_no_hello_port_is_left_out() -> None:
    def refuse(_address: str, _port: int, _seconds: float) -> socket.socket:
        raise ConnectionRefusedError

    for hello_port, rungs in ((1848, ["port 8080", "port 1848"]), (0, ["port 8080"]), (8080, ["port 8080"])):
        findings = look(Question("shop", hello_port=hello_port), HOSTS, "d890", (), refuse)
        assert [finding.rung for finding in findings] == rungs
        assert all(finding.verdict is Verdict.FAILED for finding in findings)


def test_a_table_of_the_kernel_is_read_in_the_machine_s_byte_order() -> None:
    assert parse_table(TCP6, "little") == (
        Listening("::", 1848, "7"),
        Listening("fdaa:0:18:a7b:7d:f066:b83b:2", 8080, "8"),
    )


def test_the_sockets_of_this_process_are_found_with_its_name() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        found = {(it.address, it.port): it.process for it in read_sockets()}
        for listener in (four, six):
            address, port = listener.getsockname()[:2]
            assert f"(pid {os.getpid()})" in found[address, port], found
