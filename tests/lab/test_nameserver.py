"""The name server: every name form, every way to ask wrongly, real sockets and real clients."""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import subprocess
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from lab.names import MachineRecord, View
from lab.nameserver import NameServer, answer, respond
from tests.shell.scripted_dns import same_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

RNG = random.Random(3)  # noqa: S311 - the same choices every time
WAIT_SECONDS = 10.0


def machine(number: int, region: str, group: str, *, started: bool) -> MachineRecord:
    metadata = {"fly_process_group": group, "fly_platform_version": "v2", "Role": "Leader" if number == 1 else "any"}
    return MachineRecord(f"148e{number:02x}", region, f"fdaa:0:18:a7b:{number:x}::2", metadata, started)


def network(apps: dict[str, tuple[MachineRecord, ...]], public: dict[str, str] | None = None) -> View:
    """Return a view of one network; a Flycast address for every app but the shell's."""
    return View(
        apps=apps,
        flycast={name: f"fdaa:0:18:0:1::{number}" for number, name in enumerate(apps, 7) if name != "shell"},
        public=public or {},
        regions={machine.private_ip: machine.region for machines in apps.values() for machine in machines},
        home_region="ams",
        api_ip="fdaa:0:18::3",
    )


UP = machine(1, "ams", "app", started=True)
UP_WORKER = machine(2, "cdg", "worker", started=True)
ASLEEP = machine(3, "ams", "app", started=False)
ASLEEP_AWAY = machine(4, "syd", "cron", started=False)
SHELL = machine(9, "ams", "app", started=True)
VIEW = network({"shop": (UP, UP_WORKER, ASLEEP, ASLEEP_AWAY), "dozing": (ASLEEP,), "shell": (SHELL,)})


def ask(name: str, kind: str = "AAAA", view: View = VIEW, region: str = "ams") -> dns.message.Message:
    return answer(dns.message.make_query(name, kind), view, region=region, rng=RNG)


def texts(message: dns.message.Message) -> list[str]:
    return sorted(item.to_text().strip('"') for rrset in message.answer for item in rrset)


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("shop.internal", [UP, UP_WORKER]),
        ("global.shop.internal", [UP, UP_WORKER]),
        ("SHOP.Internal", [UP, UP_WORKER]),
        ("ams.shop.internal", [UP]),
        ("cdg.shop.internal", [UP_WORKER]),
        ("syd.shop.internal", []),
        ("148e01.vm.shop.internal", [UP]),
        ("148e03.vm.shop.internal", []),
        ("app.process.shop.internal", [UP]),
        ("worker.process.shop.internal", [UP_WORKER]),
        ("cron.process.shop.internal", []),
        ("dozing.internal", []),
        ("vm.shop.internal", []),
        ("process.shop.internal", []),
        ("all.shop.internal", []),
        ("vms.shop.internal", []),
        ("app.fly_process_group.kv._metadata.shop.internal", [UP]),
        ("V2.FLY_platform_version.kv._metadata.shop.internal", [UP, UP_WORKER]),
        ("leader.role.kv._metadata.shop.internal", [UP]),
        ("v2.fly_platform_version.kv._metadata.dozing.internal", []),
        ("role.kv._metadata.shop.internal", []),
        ("kv._metadata.shop.internal", []),
        ("_metadata.shop.internal", []),
        ("top1.nearest.of.dozing.internal", []),
        ("nearest.of.shop.internal", []),
        ("of.shop.internal", []),
        ("_peer.internal", []),
        ("internal", []),
        ("flycast", []),
    ],
)
def test_aaaa_holds_the_started_machines_of_an_existing_name(name: str, addresses: list[MachineRecord]) -> None:
    response = ask(name)
    assert response.rcode() == dns.rcode.NOERROR
    assert texts(response) == sorted(machine.private_ip for machine in addresses)
    assert response.flags & dns.flags.AA
    assert all(rrset.ttl == 5 for rrset in response.answer)


@pytest.mark.parametrize(
    "name",
    [
        "nobody.internal",
        "x.nobody.internal",
        "nrt.shop.internal",
        "148eff.vm.shop.internal",
        "db.process.shop.internal",
        "a.b.c.shop.internal",
        "nobody.flycast",
        "shell.flycast",
        "x.shop.flycast",
        "all._apps.internal",
        "x._instances.internal",
        "anybody._peer.internal",
        "x._api.internal",
        "follower.role.kv._metadata.shop.internal",
        "app.colour.kv._metadata.shop.internal",
        "colour.kv._metadata.shop.internal",
        "x.leader.role.kv._metadata.shop.internal",
        "top0.nearest.of.shop.internal",
        "top.nearest.of.shop.internal",
        "top-1.nearest.of.shop.internal",
        "top1.farthest.of.shop.internal",
    ],
)
@pytest.mark.parametrize("kind", ["A", "AAAA", "TXT"])
def test_a_name_nobody_has_is_nxdomain(name: str, kind: str) -> None:
    response = ask(name, kind)
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert response.flags & dns.flags.AA
    assert not response.answer


@pytest.mark.parametrize("name", ["shop.internal", "dozing.internal", "148e03.vm.shop.internal", "shop.flycast"])
@pytest.mark.parametrize("kind", ["A", "MX", "TXT", "SOA", "PTR"])
def test_a_type_an_existing_name_does_not_hold_is_empty_and_not_nxdomain(name: str, kind: str) -> None:
    response = ask(name, kind)
    assert response.rcode() == dns.rcode.NOERROR
    assert not response.answer


@pytest.mark.parametrize("app", ["shop", "dozing"])
def test_flycast_answers_whether_or_not_the_app_sleeps(app: str) -> None:
    assert texts(ask(f"{app}.flycast")) == [VIEW.flycast[app]]


def test_api_is_the_network_s_own_nameserver_address() -> None:
    assert texts(ask("_api.internal")) == ["fdaa:0:18::3"]


AROUND = {region: machine(n, region, "app", started=True) for n, region in enumerate(("lhr", "ewr", "nrt", "syd"), 32)}


@pytest.mark.parametrize(
    ("asker", "by_distance"),
    [
        ("ams", ["lhr", "ewr", "nrt", "syd"]),
        ("sin", ["nrt", "syd", "lhr", "ewr"]),
        ("syd", ["syd", "nrt", "ewr", "lhr"]),
    ],
)
def test_the_nearest_are_counted_from_where_the_asker_is(asker: str, by_distance: list[str]) -> None:
    view = network({"wide": tuple(AROUND.values())})
    for number in range(1, 6):
        found = texts(ask(f"top{number}.nearest.of.wide.internal", view=view, region=asker))
        assert found == sorted(AROUND[region].private_ip for region in by_distance[:number])


def test_the_nearest_are_among_the_started_ones() -> None:
    near = replace(AROUND["lhr"], started=False)
    view = network({"wide": (near, *list(AROUND.values())[1:])})
    assert texts(ask("top1.nearest.of.wide.internal", view=view)) == [AROUND["ewr"].private_ip]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vms.shop.internal", "148e01 ams,148e02 cdg"),
        ("all.vms.shop.internal", "148e01 ams,148e02 cdg,148e03 ams,148e04 syd"),
        ("regions.shop.internal", "ams,cdg"),
        ("all.regions.shop.internal", "ams,cdg,syd"),
        ("all.vms.dozing.internal", "148e03 ams"),
        ("_apps.internal", "dozing,shell,shop"),
        (
            "_instances.internal",
            (
                "instance=148e09,app=shell,ip=fdaa:0:18:a7b:9::2,region=ams;"
                "instance=148e01,app=shop,ip=fdaa:0:18:a7b:1::2,region=ams;"
                "instance=148e02,app=shop,ip=fdaa:0:18:a7b:2::2,region=cdg"
            ),
        ),
    ],
)
def test_txt_lists(name: str, text: str) -> None:
    response = ask(name, "TXT")
    assert texts(response) == [text]
    assert response.answer[0].ttl == 5


def test_all_instances_holds_the_sleeping_ones_too() -> None:
    text = b"".join(ask("all._instances.internal", "TXT").answer[0][0].strings).decode()
    assert text.count("instance=") == 6


@pytest.mark.parametrize("name", ["vms.dozing.internal", "regions.dozing.internal"])
def test_a_list_of_nothing_is_an_empty_answer(name: str) -> None:
    response = ask(name, "TXT")
    assert response.rcode() == dns.rcode.NOERROR
    assert not response.answer


def test_fly_dev_holds_the_public_address_and_is_nxdomain_without_one() -> None:
    view = network({"exposed": (UP,), "shop": (UP_WORKER,)}, {"exposed": "2001:db8:f17::9"})
    assert texts(ask("Exposed.fly.dev", view=view)) == ["2001:db8:f17::9"]
    assert ask("exposed.fly.dev", "A", view).rcode() == dns.rcode.NOERROR
    assert not ask("exposed.fly.dev", view=view).flags & dns.flags.AA, "it is the Internet's name, not Fly's own"
    for name in ("shop.fly.dev", "nobody.fly.dev", "x.exposed.fly.dev"):
        assert ask(name, view=view).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("name", ["example.com", "internal.example", ".", "flycast.com", "shopinternal"])
def test_a_name_outside_is_servfail_because_there_is_no_upstream(name: str) -> None:
    response = ask(name)
    assert response.rcode() == dns.rcode.SERVFAIL
    assert not response.flags & dns.flags.AA


def test_addresses_come_in_every_order() -> None:
    orders = {tuple(item.to_text() for item in ask("shop.internal").answer[0]) for _ in range(50)}
    assert len(orders) == 2


def many(count: int) -> View:
    machines = tuple(
        MachineRecord(f"148e{n:010x}", "ams", f"fdaa:0:18:a7b::{n:x}", {}, started=True) for n in range(count)
    )
    return network({"big": machines})


@pytest.mark.parametrize(("payload", "limit"), [(None, 512), (600, 600), (1232, 1232), (4096, 1232), (100, 512)])
def test_a_long_answer_over_udp_is_truncated_to_what_the_client_can_take(payload: int | None, limit: int) -> None:
    query = dns.message.make_query("big.internal", "AAAA", use_edns=payload is not None, payload=payload or 0)
    short = 0
    for count in range(1, 50):
        wire = respond(query.to_wire(), many(count), over_tcp=False, region="ams", rng=RNG)
        assert wire is not None
        response = dns.message.from_wire(wire)
        assert len(wire) <= limit
        if response.flags & dns.flags.TC:
            assert not response.answer
        else:
            assert len(response.answer[0]) == count
            short = count
    assert 0 < short < 49, "both kinds of answer were seen"


def test_a_long_answer_over_tcp_is_whole() -> None:
    query = dns.message.make_query("big.internal", "AAAA")
    wire = respond(query.to_wire(), many(1000), over_tcp=True, region="ams", rng=RNG)
    assert wire is not None
    assert len(dns.message.from_wire(wire).answer[0]) == 1000


def test_an_answer_too_long_even_for_tcp_is_servfail() -> None:
    query = dns.message.make_query("big.internal", "AAAA")
    wire = respond(query.to_wire(), many(3000), over_tcp=True, region="ams", rng=RNG)
    assert wire is not None
    assert dns.message.from_wire(wire).rcode() == dns.rcode.SERVFAIL


def test_a_long_txt_is_split_in_strings_that_join_to_the_list() -> None:
    response = ask("vms.big.internal", "TXT", many(100))
    strings = response.answer[0][0].strings
    assert len(strings) > 1
    assert b"".join(strings).decode() == ",".join(f"148e{n:010x} ams" for n in range(100))


QUERY = dns.message.make_query("shop.internal", "AAAA")
WIRE = QUERY.to_wire()


@pytest.mark.parametrize("length", range(len(WIRE)))
def test_a_query_cut_at_any_byte_is_formerr_with_its_id_or_silence(length: int) -> None:
    response = respond(WIRE[:length], VIEW, over_tcp=False, region="ams", rng=RNG)
    if length < 2:
        assert response is None
    else:
        assert response is not None
        assert response[:2] == WIRE[:2]
        assert response[3] & 0xF == dns.rcode.FORMERR


def test_no_random_bytes_break_it_or_get_the_answer_to_another_question() -> None:
    rng = random.Random(11)  # noqa: S311 - the same choices every time
    answered = 0
    for _ in range(3000):
        wire = bytearray(WIRE)
        for _ in range(rng.randint(1, 6)):
            wire[rng.randrange(len(wire))] = rng.randrange(256)
        response = respond(bytes(wire), VIEW, region="ams", over_tcp=rng.random() < 0.5, rng=rng)
        if response is None:
            continue
        assert response[:2] == wire[:2]
        assert response[2] & 0x80, "a response says that it is one"
        said = dns.message.from_wire(response)
        if said.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            assert said.question == dns.message.from_wire(bytes(wire)).question
            answered += bool(said.answer)
    assert answered, "some were only slightly wrong"


def test_a_response_is_met_with_silence() -> None:
    assert respond(dns.message.make_response(QUERY).to_wire(), VIEW, over_tcp=False, region="ams", rng=RNG) is None


@pytest.mark.parametrize("opcode", [dns.opcode.NOTIFY, dns.opcode.UPDATE, dns.opcode.STATUS])
def test_another_opcode_is_notimp(opcode: dns.opcode.Opcode) -> None:
    wire = bytearray(WIRE)
    wire[2] = (wire[2] & 0x87) | opcode << 3
    response = respond(bytes(wire), VIEW, over_tcp=False, region="ams", rng=RNG)
    assert response is not None
    assert response[:2] == WIRE[:2]
    assert response[2] >> 3 & 0xF == opcode
    assert response[3] & 0xF == dns.rcode.NOTIMP


@pytest.mark.parametrize(
    "query",
    [
        dns.message.make_query("shop.internal", "TXT", "CH"),
        dns.message.make_query("shop.internal", "AXFR"),
    ],
)
def test_another_class_or_a_transfer_is_refused(query: dns.message.QueryMessage) -> None:
    assert answer(query, VIEW, region="ams", rng=RNG).rcode() == dns.rcode.REFUSED


def test_an_unknown_edns_version_is_badvers() -> None:
    query = dns.message.make_query("shop.internal", "AAAA", use_edns=1)
    assert answer(query, VIEW, region="ams", rng=RNG).rcode() == dns.rcode.BADVERS


def test_two_questions_are_formerr() -> None:
    query = dns.message.make_query("shop.internal", "AAAA")
    query.question.append(dns.message.make_query("dozing.internal", "AAAA").question[0])
    response = respond(query.to_wire(), VIEW, over_tcp=False, region="ams", rng=RNG)
    assert response is not None
    assert response[3] & 0xF == dns.rcode.FORMERR


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(
        self, source: str, message: str, *,
        machine_id: str = "", region: str = "", level: str = "info", last_lines: Sequence[str] = (),
    ) -> None:  # fmt: skip
        del last_lines, source, machine_id, region, level
        self.lines.append(message)


@asynccontextmanager
async def serving(*views: View | None, **bounds: float) -> AsyncIterator[tuple[int, Log]]:
    """Serve on one port of 127.0.0.1 for UDP and TCP, from each view in turn and then the last; None breaks a query."""
    waiting = list(views or [VIEW])
    log = Log()
    udp, tcp = same_port()
    port: int = tcp.getsockname()[1]
    for sock in (udp, tcp):
        sock.setblocking(False)

    def current() -> View:
        view = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if view is None:
            raise LookupError("no view")
        return view

    server = NameServer(current, log, RNG, **bounds)  # type: ignore[arg-type]  # one bound is an int
    await server.serve(udp, tcp)
    try:
        async with asyncio.timeout(30):
            yield port, log
    finally:
        await server.close()


async def test_a_kept_answer_has_the_id_and_the_letters_of_each_query_and_comes_in_every_order() -> None:
    async with serving() as (port, _):
        orders = set()
        for number in range(64):
            name = "shop.internal" if number % 2 else "sHoP.internal"
            query = dns.message.make_query(name, "AAAA", id=number)
            response = await asyncio.to_thread(dns.query.udp, query, "127.0.0.1", WAIT_SECONDS, port)
            assert response.id == number
            assert response.question[0].name.to_text() == f"{name}."
            orders.add(tuple(item.to_text() for item in response.answer[0]))
        assert len(orders) == 2


async def test_a_kept_answer_is_not_given_once_the_network_has_changed() -> None:
    async with serving(VIEW, network({"shop": (UP,)})) as (port, _):
        answers = [
            texts(await asyncio.to_thread(dns.query.udp, QUERY, "127.0.0.1", WAIT_SECONDS, port)) for _ in range(3)
        ]
    assert answers == [sorted([UP.private_ip, UP_WORKER.private_ip]), [UP.private_ip], [UP.private_ip]]


async def test_the_nearest_of_two_askers_are_kept_apart() -> None:
    view = replace(network({"wide": tuple(AROUND.values())}), regions={"127.0.0.1": "syd", "127.0.0.2": "lhr"})
    query = dns.message.make_query("top1.nearest.of.wide.internal", "AAAA")
    async with serving(view) as (port, _):
        for source, region in (("127.0.0.1", "syd"), ("127.0.0.2", "lhr"), ("127.0.0.3", "lhr")):
            for ask_over in (dns.query.udp, dns.query.tcp):
                response = await asyncio.to_thread(
                    ask_over, query, "127.0.0.1", timeout=WAIT_SECONDS, port=port, source=source
                )
                assert texts(response) == [AROUND[region].private_ip], f"asked from {source}"


async def test_udp_and_tcp_give_the_same_answer() -> None:
    async with serving() as (port, _):
        by_udp = await asyncio.to_thread(dns.query.udp, QUERY, "127.0.0.1", WAIT_SECONDS, port)
        by_tcp = await asyncio.to_thread(dns.query.tcp, QUERY, "127.0.0.1", WAIT_SECONDS, port)
        assert texts(by_udp) == texts(by_tcp) == sorted([UP.private_ip, UP_WORKER.private_ip])


async def test_a_truncated_answer_is_whole_when_asked_again_over_tcp() -> None:
    async with serving(many(500)) as (port, _):
        query = dns.message.make_query("big.internal", "AAAA")
        whole, by_tcp = await asyncio.to_thread(dns.query.udp_with_fallback, query, "127.0.0.1", WAIT_SECONDS, port)
        assert by_tcp
        assert len(whole.answer[0]) == 500


async def test_several_queries_go_over_one_tcp_connection() -> None:
    async with serving() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(len(WIRE).to_bytes(2) + WIRE)
        for _ in range(3):
            wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            assert texts(dns.message.from_wire(wire))
        writer.close()
        await writer.wait_closed()


async def test_a_fault_inside_is_servfail_and_the_server_lives_on() -> None:
    async with serving(None) as (port, log):
        for ask_over in (dns.query.udp, dns.query.tcp, dns.query.udp):
            response = (
                await asyncio.to_thread(
                    ask_over, QUERY, "127.0.0.1", timeout=WAIT_SECONDS, port=port, raise_on_truncation=False
                )
                if ask_over is dns.query.udp
                else await asyncio.to_thread(dns.query.tcp, QUERY, "127.0.0.1", WAIT_SECONDS, port)
            )
            assert response.rcode() == dns.rcode.SERVFAIL
        assert len(log.lines) == 3


async def test_an_idle_tcp_connection_is_closed() -> None:
    async with serving(tcp_idle_seconds=0.05) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x00")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_connections_beyond_the_bound_are_closed_and_the_others_are_served() -> None:
    async with serving(max_tcp_connections=2) as (port, _):
        first = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in first:
            writer.write(len(WIRE).to_bytes(2) + WIRE)
            await reader.readexactly(2)
        reader, extra = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        for _, writer in [*first, (reader, extra)]:
            writer.close()
            await writer.wait_closed()


async def test_close_frees_the_port() -> None:
    async with serving() as (port, _):
        pass
    with socket.create_server(("127.0.0.1", port)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", port))


@pytest.mark.skipif(shutil.which("dig") is None, reason="dig is not installed (Debian: bind9-dnsutils)")
async def test_dig_reads_the_answers() -> None:
    async with serving() as (port, _):

        def dig(*arguments: str) -> str:
            command = ["dig", "-p", str(port), "@127.0.0.1", "+tries=1", "+time=5", *arguments]
            return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout

        assert await asyncio.to_thread(dig, "+short", "shop.flycast", "AAAA") == "fdaa:0:18:0:1::7\n"
        full = await asyncio.to_thread(dig, "_apps.internal", "TXT")
        assert '"dozing,shell,shop"' in full
        assert "status: NOERROR" in full
        assert "WARNING" not in full
        assert "SERVFAIL" in await asyncio.to_thread(dig, "example.com", "AAAA")
        assert "148e02 cdg" in await asyncio.to_thread(dig, "+tcp", "+short", "vms.shop.internal", "TXT")
