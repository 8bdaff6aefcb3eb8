from __future__ import annotations

import errno
import io
import json
import socket
import struct
import threading
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING

import dns.rcode
import pytest

from shell.cli import main
from shell.hello.hear import CLOSE_SECONDS, End, Heard, hear
from shell.hello.record import hello_record
from shell.hello.report import show_hearing
from shell.hello.ways import Door, Hearing, Hello, Plan, Way, run
from shell.phases import Edge, open_connection
from shell.progress import Progress
from shell.resolve import Resolver
from shell.screen import Screen
from tests.shell.scripted_dns import code, records, silence
from tests.shell.scripted_http import ScriptedServer, hold

if TYPE_CHECKING:
    from collections.abc import Callable

    from shell.answers import Answer, RecordType
    from tests.shell.scripted_dns import ScriptedDns
    from tests.shell.scripted_http import Handler

UP, OTHER = "3d8d9014b32d89", "90801f52c5d087"


def unasked(name: str, record_type: RecordType) -> Answer:
    raise AssertionError(f"{name} {record_type} was asked for")


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def saying(content: bytes) -> Handler:
    return lambda connection: connection.sendall(content)


def saying_then_reset(connection: socket.socket) -> None:
    connection.sendall(b"hello\n")
    reset(connection)


def waiting_for_the_client(connection: socket.socket) -> None:
    connection.recv(1)


def keeping_open(connection: socket.socket) -> None:
    connection.sendall(b"220 mail\r\n")
    connection.recv(1)


def talking_on(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"more and more\n" * 1000)


def dripping(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x")


def hurried() -> Callable[[], float]:
    """Return a clock that, once something was said, leaves 0.1 s for closing."""
    return count(0.0, CLOSE_SECONDS - 0.1).__next__


def listen(handler: Handler, timeout_seconds: float = 10.0, clock: Callable[[], float] = monotonic) -> Heard:
    """Listen to a server that does nothing before the connection is open on both sides."""
    connected = threading.Event()

    def connect(address: str, port: int, connect_seconds: float) -> socket.socket:
        try:
            return open_connection(address, port, connect_seconds)
        finally:
            connected.set()

    def handle(connection: socket.socket) -> None:
        assert connected.wait(10)
        handler(connection)

    with ScriptedServer(handle) as server:
        return hear("::1", server.port, timeout_seconds, Edge(unasked, connect, clock))


HELLO = saying(b"hello\n")


@pytest.mark.parametrize(
    ("handler", "end", "said"),
    [
        (HELLO, End.CLEAN, "hello"),
        (saying(b"no line end"), End.CLEAN, "no line end"),
        (saying(b"\n"), End.CLEAN, ""),
        (saying(b"one\r\ntwo\r\n"), End.CLEAN, "one"),
        (saying(b"\x1b[2J\xff\x00\n"), End.CLEAN, "\x1b[2J\\xff\x00"),
        (saying(b"x" * 5000), End.CLEAN, "x" * 200 + "..."),
        (saying_then_reset, End.RESET, "hello"),
        (talking_on, End.OPEN, "more and more"),
        (lambda _: None, End.EMPTY, ""),
        (reset, End.CUT, ""),
    ],
)
def test_every_end_of_a_connection_is_told_apart(handler: Handler, end: End, said: str) -> None:
    heard = listen(handler)
    assert (heard.end, heard.said) == (end, said)
    assert (heard.first_byte_ms is not None) is end.answered


@pytest.mark.parametrize(
    ("handler", "end", "said"),
    [
        (keeping_open, End.OPEN, "220 mail"),
        (dripping, End.OPEN, "x"),
        (waiting_for_the_client, End.SILENT, ""),
    ],
)
def test_who_does_not_close_is_left_when_the_time_is_up(handler: Handler, end: End, said: str) -> None:
    heard = listen(handler, timeout_seconds=3.9 if end is End.SILENT else 100.0, clock=hurried())
    assert (heard.end, heard.said[: len(said)]) == (end, said)


def failing(error: OSError) -> Callable[[str, int, float], socket.socket]:
    def connect(_address: str, _port: int, _timeout_seconds: float) -> socket.socket:
        raise error

    return connect


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (ConnectionRefusedError(), End.REFUSED),
        (ConnectionResetError(), End.CUT),
        (TimeoutError(), End.UNANSWERED),
        (OSError(errno.ENETUNREACH, "unreachable"), End.NO_ROUTE),
        (OSError(errno.EMFILE, "too many"), End.FAILED),
    ],
)
def test_every_failed_connection_is_told_apart(error: OSError, end: End) -> None:
    assert hear("::1", 1, 1.0, Edge(unasked, failing(error))) == Heard(end)


def test_a_port_nobody_listens_on_is_refused() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
    assert hear("::1", port, 10.0, Edge(unasked, open_connection)).end is End.REFUSED


def test_the_times_of_a_connection_are_those_of_its_phases() -> None:
    ticks = iter([10.0, 10.5, 10.5, 12.0, 12.0])
    with ScriptedServer(HELLO) as server:
        heard = hear("::1", server.port, 30.0, Edge(unasked, open_connection, lambda: next(ticks)))
    assert (heard.connect_ms, heard.first_byte_ms) == (500.0, 1500.0)


def both_ways(
    nameserver: ScriptedDns, *handlers: Handler, times: int = 1, pause: Callable[[float], None] = hold
) -> Hearing:
    """Listen to an app whose Flycast address and Machine are one server: its first connections are Flycast's."""
    with ScriptedServer(*handlers) as server:
        plan = Plan("shop", server.port, times, timeout_seconds=5.0)
        edge = Edge(Resolver([nameserver.server], try_seconds=5.0).ask, open_connection)
        return run(plan, edge, pause, Progress(io.StringIO(), ""))


def started(nameserver: ScriptedDns, *, asleep: bool = False) -> None:
    nameserver.app("shop", "::1", deployed=f"{UP} ams,{OTHER} cdg", started="" if asleep else f"{UP} ams")
    nameserver.script[f"{UP}.vm.shop.internal", "AAAA"] = records("AAAA", "::1")


def test_flycast_and_every_started_machine_are_listened_to(nameserver: ScriptedDns) -> None:
    started(nameserver)
    hearing = both_ways(nameserver, HELLO, times=2)
    assert [str(hello.door) for hello in hearing.hellos] == ["Flycast"] * 2 + [f"6PN of Machine {UP}"] * 2
    assert {hello.heard.said for hello in hearing.hellos} == {"hello"}
    assert [machine.machine_id for machine in hearing.asleep] == [OTHER]
    assert hearing.troubles == ()


def test_a_sleeping_app_is_woken_through_flycast_before_6pn_is_tried(nameserver: ScriptedDns) -> None:
    started(nameserver, asleep=True)
    paused = []

    def wake(connection: socket.socket) -> None:
        assert (f"{UP}.vm.shop.internal", "AAAA", "udp") not in nameserver.asked, "6PN cannot be first"
        connection.sendall(b"hello\n")

    def pause(seconds: float) -> None:
        paused.append(seconds)
        started(nameserver)

    hearing = both_ways(nameserver, wake, HELLO, pause=pause)
    assert [hello.door.way for hello in hearing.hellos] == [Way.FLYCAST, Way.SIX_PN]
    assert hearing.troubles == ()
    assert len(paused) == 1, "DNS was asked again until it showed the Machine"


def test_an_app_that_cannot_be_woken_is_not_waited_for(nameserver: ScriptedDns) -> None:
    started(nameserver, asleep=True)

    def pause(_: float) -> None:
        raise AssertionError("nothing woke it, so DNS has nothing new to show")

    untried, flycast = both_ways(nameserver, lambda _: None, pause=pause).troubles
    assert untried == "6PN: not tried, no Machine of shop is started"
    assert "Fly Proxy could not reach the app" in flycast


@pytest.mark.parametrize(
    ("handlers", "words"),
    [
        ((lambda _: None, HELLO), ["Flycast [::1]:", "closed with nothing said; Fly Proxy could not reach the app"]),
        ((reset, HELLO), ["Flycast [::1]:", "reset with nothing said; Fly Proxy could not reach the app"]),
        ((HELLO, lambda _: None), [f"6PN of Machine {UP} [::1]:", "nothing said; the app itself ended it"]),
    ],
)
def test_one_way_that_does_not_answer_is_trouble(
    nameserver: ScriptedDns, handlers: tuple[Handler, ...], words: list[str]
) -> None:
    started(nameserver)
    (trouble,) = both_ways(nameserver, *handlers).troubles
    assert all(word in trouble for word in words), trouble


def test_failures_of_one_kind_are_one_line_with_their_number(nameserver: ScriptedDns) -> None:
    started(nameserver)
    (trouble,) = both_ways(nameserver, HELLO, lambda _: None, lambda _: None, HELLO, times=3).troubles
    assert "(2 of 3 times)" in trouble


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("end", End)
def test_every_end_that_is_not_well_has_a_likely_cause(way: Way, end: End) -> None:
    hearing = Hearing(Plan("shop", 1848), (Hello(Door(way, "fdaa::9"), Heard(end)),))
    if end in {End.CLEAN, End.OPEN}:
        assert hearing.troubles == ()
    else:
        (trouble,) = hearing.troubles
        assert trouble.startswith(f"{way} [fdaa::9]:1848: {end}; ")
        assert "{" not in trouble


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("all.vms.shop.internal", "TXT", "no app shop in this private network"),
        ("shop.flycast", "AAAA", "`fly ips allocate-v6 --private -a shop` gives the app a Flycast address"),
        (f"{UP}.vm.shop.internal", "AAAA", f"6PN of Machine {UP}: not tried, {UP}.vm.shop.internal AAAA from"),
    ],
)
def test_a_way_without_an_address_says_what_dns_said(nameserver: ScriptedDns, name: str, kind: str, words: str) -> None:
    started(nameserver)
    del nameserver.script[name, kind]
    (trouble,) = both_ways(nameserver, HELLO).troubles
    assert words in trouble


def test_a_machine_id_that_is_none_is_not_asked_for(nameserver: ScriptedDns) -> None:
    nameserver.app("shop", "::1", deployed="../..\\x1b ams", started="../..\\x1b ams")
    (trouble,) = both_ways(nameserver, HELLO).troubles
    assert "which is no Machine ID" in trouble
    assert not any(name.endswith(".vm.shop.internal") for name, _, _ in nameserver.asked)


def test_what_was_heard_before_dns_fell_silent_is_kept(nameserver: ScriptedDns) -> None:
    started(nameserver)

    def cut_dns(connection: socket.socket) -> None:
        nameserver.script["all.vms.shop.internal", "TXT"] = code(dns.rcode.SERVFAIL)
        connection.sendall(b"hello\n")

    hearing = both_ways(nameserver, cut_dns)
    assert [hello.heard.said for hello in hearing.hellos] == ["hello"]
    assert "SERVFAIL" in hearing.troubles[0]


def test_a_silent_nameserver_is_said_so(nameserver: ScriptedDns) -> None:
    nameserver.script["all.vms.shop.internal", "TXT"] = silence
    edge = Edge(Resolver([nameserver.server], try_seconds=0.05).ask, open_connection)
    hearing = run(Plan("shop", 1), edge, hold, Progress(io.StringIO(), ""))
    assert "no nameserver answers" in hearing.troubles[0]


def test_alike_hellos_share_a_row_with_the_middle_and_the_slowest_time() -> None:
    door = Door(Way.FLYCAST, "fdaa:0:18:0:1::2")
    heard = [Heard(End.CLEAN, "hello", 1.0, first_byte_ms) for first_byte_ms in (5.0, 1.0, 2.0)]
    other = Heard(End.RESET, "\x1b[2J", 1.0, 9.0)
    stream = io.StringIO()
    hearing = Hearing(Plan("shop", 1848, 4), tuple(Hello(door, one) for one in (*heard, other)))
    show_hearing(Screen(stream, color=False), hearing)
    assert stream.getvalue() == (
        "shop, port 1848, in ms\n"
        "way      Machine  times  connect  first byte  slowest  said       end\n"
        'Flycast               3      1.0         2.0      5.0  "hello"    closed cleanly\n'
        'Flycast               1      1.0         9.0      9.0  "\\x1b[2J"  closed by reset\n\n'
        "Flycast: fdaa:0:18:0:1::2\n"
    )


def test_the_record_has_the_documented_fields(nameserver: ScriptedDns) -> None:
    started(nameserver)
    record = hello_record(both_ways(nameserver, HELLO, lambda _: None))
    assert " ".join(record) == "schema_version command ok app port troubles asleep hellos"
    assert record["ok"] is False
    assert record["asleep"] == [{"machine_id": OTHER, "region": "cdg"}]
    flycast, six_pn = record["hellos"]
    assert " ".join(flycast) == ("way machine_id region address answered said end end_text connect_ms first_byte_ms")
    assert (flycast["way"], flycast["machine_id"], flycast["said"], flycast["end"]) == (
        "flycast",
        None,
        "hello",
        "clean",
    )
    assert (six_pn["way"], six_pn["machine_id"], six_pn["said"], six_pn["end"]) == ("six_pn", UP, None, "empty")


@pytest.mark.parametrize(("handler", "status"), [(HELLO, 0), (reset, 1)])
@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_tells_its_data_from_its_complaints(
    nameserver: ScriptedDns, capsys: pytest.CaptureFixture[str], handler: Handler, status: int, as_json: bool
) -> None:
    started(nameserver)
    with ScriptedServer(handler) as server:
        options = [f"--port={server.port}", f"--dns={nameserver.server}", *(["--json"] if as_json else [])]
        assert main(["hello", "shop", *options]) == status
    out, err = capsys.readouterr()
    assert err.count("\n") == 2 * status, "a line for each way that did not answer"
    if as_json:
        assert json.loads(out)["ok"] is (status == 0)
    else:
        assert out.startswith(f"shop, port {server.port}, in ms\n")


@pytest.mark.parametrize("option", ["--port=0", "--port=65536", "--count=0", "--timeout=-1", "--timeout=nan"])
def test_wrong_usage_is_one_line_and_status_2(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hello", "shop", option]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_next_to_no_time_is_a_timeout_and_no_traceback(
    nameserver: ScriptedDns, capsys: pytest.CaptureFixture[str]
) -> None:
    started(nameserver)
    with ScriptedServer(HELLO) as server:
        assert main(["hello", "shop", f"--port={server.port}", f"--dns={nameserver.server}", "--timeout=1e-9"]) == 1
    assert "in time (timeout)" in capsys.readouterr().err
