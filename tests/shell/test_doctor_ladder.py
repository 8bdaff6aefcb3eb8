"""The ladder and the command, against scripted names and servers."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shell.cli import main
from shell.doctor.faults import REMEDIES, Fault
from shell.doctor.finding import Finding, Question, Verdict
from shell.doctor.ladder import DNS_LAG_SECONDS, Outside, climb
from shell.doctor.report import show_finding
from shell.phases import Edge, open_connection
from shell.resolve import Resolver
from shell.screen import Screen
from tests.shell.scripted_dns import raw_text, records
from tests.shell.scripted_http import ScriptedServer, answering, closing, read_request, saying
from tests.shell.terminal import Terminal

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tests.shell.scripted_dns import Script, ScriptedDns
    from tests.shell.scripted_http import Handler

ROOT = Path(__file__).parents[2]
FLYCAST_IP, PRIVATE_IP = "fdaa:0:18:0:1::7", "fdaa:0:18:a7b:7d:f066:b83b:2"
OWN = frozenset({"fdaa:0:18::/48"})
MACHINE = "3d8d9014b32d89 ams"
STATUS = b'{"you": {"ingress": "flycast"}, "requests": {"flycast": 3}, "refused": 0, "listeners": []}'
BLUEPRINT = answering(STATUS)
UNAVAILABLE = answering(status="503 Service Unavailable")


def greeting(connection: socket.socket) -> None:
    connection.sendall(b"hello\n")


def saying_nothing(_connection: socket.socket) -> None:
    pass


def in_turn(*handlers: Handler) -> Handler:
    """Serve each connection by the next handler."""
    left = list(handlers)

    def handle(connection: socket.socket) -> None:
        left.pop(0)(connection)

    return handle


class Network:
    """The private network of one app, on loopback: which server stands at which address and port."""

    def __init__(self, nameserver: ScriptedDns, servers: dict[tuple[str, int], Handler]) -> None:
        self.nameserver = nameserver
        self.handlers = servers
        self.ports: dict[tuple[str, int], int] = {}
        self.dialled: list[tuple[str, int]] = []
        self.paused_seconds = 0.0
        nameserver.app("shop", FLYCAST_IP, deployed=MACHINE, started=MACHINE)
        nameserver.script["_apps.internal", "TXT"] = records("TXT", "blog,shop")
        nameserver.script["shop.internal", "AAAA"] = records("AAAA", PRIVATE_IP)

    def connect(self, address: str, port: int, timeout_seconds: float) -> socket.socket:
        self.dialled.append((address, port))
        if (address, port) not in self.ports:
            raise ConnectionRefusedError
        return open_connection("::1", self.ports[address, port], timeout_seconds)

    def pause(self, seconds: float) -> None:
        self.paused_seconds += seconds

    def serve(self, stack: ExitStack) -> None:
        for place, handler in self.handlers.items():
            self.ports[place] = stack.enter_context(ScriptedServer(handler)).port

    def climb(self) -> list[Finding]:
        edge = Edge(Resolver([self.nameserver.server]).ask, self.connect, lambda: self.paused_seconds)
        with ExitStack() as stack:
            self.serve(stack)
            return list(climb(Question("shop"), Outside(edge, self.pause, OWN)))


def well() -> dict[tuple[str, int], Handler]:
    return {
        (FLYCAST_IP, 80): BLUEPRINT,
        (FLYCAST_IP, 1848): greeting,
        (PRIVATE_IP, 8080): BLUEPRINT,
        (PRIVATE_IP, 1848): greeting,
    }


def below_another_path(connection: socket.socket) -> None:
    """Be the service where an application has every path."""
    is_ours = b" /_/api/status " in read_request(connection)
    body = STATUS if is_ours else b"<html>"
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def test_the_service_is_recognised_where_an_application_has_every_path(nameserver: ScriptedDns) -> None:
    servers = well() | {(FLYCAST_IP, 80): below_another_path, (PRIVATE_IP, 8080): below_another_path}
    findings = Network(nameserver, servers).climb()
    assert [finding.verdict for finding in findings] == [Verdict.OK] * 11, findings
    assert any("/_/api/status" in finding.did for finding in findings)


def test_a_private_app_is_well_on_every_rung(nameserver: ScriptedDns) -> None:
    findings = Network(nameserver, well()).climb()
    assert [finding.verdict for finding in findings] == [Verdict.OK] * 11, findings
    assert len({finding.rung for finding in findings}) == 11


@pytest.mark.parametrize(
    ("names", "servers", "rungs", "fault"),
    [
        ({("_apps.internal", "TXT"): None}, {}, 1, Fault.PUBLIC_NAMESERVER),
        ({("_apps.internal", "TXT"): records("TXT", "blog")}, {}, 2, Fault.WRONG_ORGANISATION),
        ({("all.vms.shop.internal", "TXT"): None}, {}, 3, Fault.NOT_DEPLOYED),
        ({("shop.flycast", "AAAA"): None}, {}, 4, Fault.NO_FLYCAST_ADDRESS),
        ({("shop.flycast", "AAAA"): records("AAAA", "fdaa:0:19:0:1::7")}, {}, 4, Fault.OTHER_NETWORK),
        ({}, {(FLYCAST_IP, 80): None}, 5, Fault.NO_SERVICE),
        ({}, {(FLYCAST_IP, 80): saying(b"hello\n")}, 6, Fault.NO_HTTP),
        ({}, {(FLYCAST_IP, 80): UNAVAILABLE}, 6, Fault.IPV6_ONLY),
        ({}, {(FLYCAST_IP, 80): closing}, 6, Fault.IPV6_ONLY),
        ({}, {(FLYCAST_IP, 80): UNAVAILABLE, (PRIVATE_IP, 8080): UNAVAILABLE}, 6, Fault.APP_FAILED),
        ({}, {(FLYCAST_IP, 80): UNAVAILABLE, (PRIVATE_IP, 8080): None}, 6, Fault.NOT_LISTENING),
        ({}, {(FLYCAST_IP, 80): answering(STATUS.replace(b"flycast", b"unknown", 1))}, 7, Fault.WAY_IN),
        ({("shop.internal", "AAAA"): records("AAAA")}, {}, 8, Fault.STALE_NAMES),
        ({}, {(PRIVATE_IP, 8080): None}, 9, Fault.IPV4_ONLY),
        ({}, {(FLYCAST_IP, 1848): None}, 10, Fault.HELLO_NO_SERVICE),
        ({}, {(FLYCAST_IP, 1848): saying_nothing, (PRIVATE_IP, 1848): None}, 10, Fault.HELLO_CLOSED),
        ({("shop.fly.dev", "A"): records("A", "192.0.2.7")}, {}, 11, Fault.PUBLIC),
        ({}, {(FLYCAST_IP, 80): answering(STATUS.replace(b'"refused": 0', b'"refused": 2'))}, 11, Fault.PUBLIC),
    ],
)
def test_the_ladder_ends_at_the_first_fault(
    nameserver: ScriptedDns,
    names: dict[tuple[str, str], Script | None],
    servers: dict[tuple[str, int], Handler | None],
    rungs: int,
    fault: Fault,
) -> None:
    network = Network(nameserver, {place: it for place, it in {**well(), **servers}.items() if it})
    nameserver.script = {name: it for name, it in {**nameserver.script, **names}.items() if it}
    findings = network.climb()
    assert (len(findings), findings[-1].fault) == (rungs, fault), findings
    assert all(finding.fault is None for finding in findings[:-1])


def test_an_app_that_no_request_wakes_is_named_once_dns_has_had_its_time(nameserver: ScriptedDns) -> None:
    network = Network(nameserver, {(FLYCAST_IP, 80): UNAVAILABLE})
    nameserver.script["vms.shop.internal", "TXT"] = records("TXT")
    nameserver.script["shop.internal", "AAAA"] = records("AAAA")
    finding = network.climb()[-1]
    assert finding.fault is Fault.NO_AUTOSTART
    assert "fly machine start -a shop 3d8d9014b32d89" in finding.command
    assert network.paused_seconds == pytest.approx(DNS_LAG_SECONDS, abs=1)


def test_an_app_that_was_asleep_and_answers_the_second_request_starts_slowly(nameserver: ScriptedDns) -> None:
    network = Network(nameserver, well())
    network.handlers[FLYCAST_IP, 80] = in_turn(closing, UNAVAILABLE, BLUEPRINT)  # the first is the knock
    nameserver.script["vms.shop.internal", "TXT"] = records("TXT")
    assert network.climb()[-1].fault is Fault.SLOW_START


def stalling(connection: socket.socket) -> None:
    """Take the request and say nothing until the client has gone."""
    while connection.recv(65536):
        pass


@pytest.mark.parametrize(("path", "fault"), [(1280, Fault.MTU_TOO_LARGE), (1400, Fault.MTU_TOO_LARGE), (1500, None)])
def test_a_request_that_is_answered_in_small_packets_only_meets_a_black_hole(
    nameserver: ScriptedDns, path: int, fault: Fault | None
) -> None:
    network = Network(nameserver, well())
    network.handlers[FLYCAST_IP, 80] = in_turn(closing, stalling)  # the first is the knock
    network.handlers[PRIVATE_IP, 80] = BLUEPRINT

    def narrow(packet_bytes: int) -> Callable[[str, int, float], socket.socket]:
        def connect(address: str, _port: int, timeout_seconds: float) -> socket.socket:
            if packet_bytes > path:
                raise TimeoutError
            return network.connect(PRIVATE_IP if address == FLYCAST_IP else address, 80, timeout_seconds)

        return connect

    with ExitStack() as stack:
        network.serve(stack)
        edge = Edge(Resolver([nameserver.server]).ask, network.connect)
        question = Question("shop", timeout_seconds=0.3)
        findings = list(climb(question, Outside(edge, network.pause, OWN, narrow)))
    assert (findings[-1].fault is Fault.MTU_TOO_LARGE) is (fault is not None), findings
    assert fault is None or f"MTU = {path} under" in findings[-1].command


def test_the_port_that_the_app_does_listen_on_is_found(nameserver: ScriptedDns) -> None:
    servers = {(FLYCAST_IP, 80): UNAVAILABLE, (PRIVATE_IP, 3000): BLUEPRINT}
    finding = Network(nameserver, servers).climb()[-1]
    assert finding.fault is Fault.WRONG_INTERNAL_PORT
    assert finding.command.startswith("internal_port = 3000 in fly.toml")


def test_all_asleep_again_leaves_the_direct_rungs_out(nameserver: ScriptedDns) -> None:
    network = Network(nameserver, well())
    nameserver.script["shop.internal", "AAAA"] = records("AAAA")
    nameserver.script["vms.shop.internal", "TXT"] = records("TXT")
    findings = network.climb()
    assert [finding.verdict for finding in findings if finding.verdict is not Verdict.OK] == [Verdict.SKIPPED]
    assert not [place for place in network.dialled if place[0] == PRIVATE_IP]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["doctor"], "expected either APP or --here"),
        (["doctor", "shop", "--here"], "expected either APP or --here"),
        (["doctor", "shop.internal"], "expected the name of an app"),
        (["doctor", "shop", "--internal-port", "0"], "expected a whole number from 1 to 65535"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1, err


def test_a_failure_is_shown_with_cause_and_command(nameserver: ScriptedDns, capsys: pytest.CaptureFixture[str]) -> None:
    nameserver.script["_apps.internal", "TXT"] = records("TXT", "shpo")
    assert main(["doctor", "shop", f"--dns={nameserver.server}"]) == 1
    first, second, *details = capsys.readouterr().out.splitlines()
    assert first.startswith(f"ok      private nameserver: {nameserver.server} answers after ")
    assert second == "failed  organisation: no app of that name"
    assert details == [
        f"  did   ask {nameserver.server} for _apps.internal TXT",
        "  got   apps here: shpo",
        "  cause the name is misspelt: this organisation has an app shpo",
        "  run   flycast-probe doctor shpo",
    ]


def test_the_record_names_the_fault(nameserver: ScriptedDns, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "shop", f"--dns={nameserver.server}", "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert (record["schema_version"], record["ok"], record["fault"]) == (1, False, "public_nameserver")
    assert [rung["verdict"] for rung in record["rungs"]] == ["failed"]
    assert record["rungs"][0]["command"]


def test_hostile_texts_reach_the_terminal_as_codes(nameserver: ScriptedDns, capsys: pytest.CaptureFixture[str]) -> None:
    nameserver.script["_apps.internal", "TXT"] = raw_text(b"\x1b]0;owned\x07{app}\x9b2J,shoq\x1b")
    assert main(["doctor", "shop", f"--dns={nameserver.server}"]) == 1
    out = capsys.readouterr().out
    assert r"\x1b]0;owned\x07{app}" in out
    assert not set(out) & {"\x1b", "\x07", "\x9b"}


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_is_a_word_and_on_a_terminal_a_colour(verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    plain, terminal = io.StringIO(), Terminal()
    for stream in (plain, terminal):
        show_finding(Screen(stream, color=True), Finding("rung", verdict, "did", "got"))
    assert plain.getvalue() == f"{verdict:<8}rung: got\n"
    assert re.fullmatch(rf"\x1b\[[\d;]+m{verdict} *\x1b\[0m *rung: got\n", terminal.getvalue())


def test_here_outside_a_machine_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shell", "doctor", "--here"],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done
    assert done.stdout.startswith("sockets of this Machine\n")
    assert "failed  Machine: not inside a Machine\n" in done.stdout


def test_the_command_that_looks_inside_fits_the_image() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "/venv/bin/python /srv/flycast-probe.pyz doctor --here" in REMEDIES[Fault.IPV6_ONLY].command
    assert " /srv/flycast-probe.pyz\n" in dockerfile
    assert "python -m venv --without-pip /venv" in dockerfile


def test_hostile_texts_do_not_become_commands(nameserver: ScriptedDns) -> None:
    network = Network(nameserver, {(FLYCAST_IP, 80): UNAVAILABLE})
    nameserver.script["all.vms.shop.internal", "TXT"] = records("TXT", "$(reboot) ams,d890 cdg")
    nameserver.script["vms.shop.internal", "TXT"] = records("TXT")
    nameserver.script["shop.internal", "AAAA"] = records("AAAA")
    assert "fly machine start -a shop d890;" in network.climb()[-1].command
    nameserver.script["_apps.internal", "TXT"] = records("TXT", "shop;reboot,sho`p")
    assert network.climb()[-1].fault is Fault.WRONG_ORGANISATION


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--help"]) == 0
    assert "examples:\n  flycast-probe doctor " in capsys.readouterr().out
