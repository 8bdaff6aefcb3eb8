"""`doctor`: why an app cannot be reached, rung by rung, to the first that fails; `--here` in its own Machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from shell.arguments import MAX_PORT, add_common, app_name, timeout_seconds, whole
from shell.errors import UsageError
from shell.output import NOT_WELL, WELL, open_screen, print_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

    from shell.doctor.finding import Finding, Question
    from shell.servers import Server

EPILOG = """\
examples:
  flycast-probe doctor my-app                names, Flycast, 6PN, hello, no public address
  flycast-probe doctor my-app --internal-port 3000 --hello-port 0
  flycast-probe doctor my-app --json | jq -r .fault
  flycast-probe doctor --here                in the app's own Machine: what is bound, who reaches it
  flycast-probe doctor my-app --wireguard ./laptop.conf      on a laptop, and its peer file first

It stops at the first rung that fails and says the likely cause and the command. A sleeping app is woken.
Off Fly's Machines the WireGuard tunnel comes first: is it up, does it carry anything, its DNS, its MTU.
"""
_IF_INET6, _HOSTS = Path("/proc/net/if_inet6"), Path("/etc/hosts")

# ruff: noqa: PLC0415


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `doctor` takes."""
    add_common(parser)
    port = whole(1, MAX_PORT)
    parser.add_argument("app", type=app_name, nargs="?", metavar="APP", help="the app that cannot be reached")
    parser.add_argument("--here", action="store_true", help="look from inside the app's own Machine")
    parser.add_argument(
        "--wireguard", type=Path, metavar="FILE", help="the peer file of `fly wireguard create`, looked through first"
    )
    parser.add_argument("--port", type=port, default=80, help="HTTP port of the Flycast address (80)")
    parser.add_argument(
        "--internal-port", type=port, default=8080, metavar="PORT", help="internal_port of fly.toml (8080)"
    )
    parser.add_argument(
        "--hello-port", type=whole(0, MAX_PORT), default=1848, metavar="PORT", help="raw TCP port (1848); 0: none"
    )
    parser.add_argument("--timeout", type=timeout_seconds, default=30.0, metavar="SECONDS", help="for a request (30)")


def run(options: argparse.Namespace) -> int:
    """Look, show, and say whether all is well."""
    from shell.doctor.finding import Question

    if options.here == bool(options.app):
        raise UsageError("expected either APP or --here; `flycast-probe doctor --help` shows what can be given")
    if options.here and options.wireguard:
        raise UsageError("--wireguard: expected on a laptop, got it with --here, which is for the app's own Machine")
    question = Question(
        app_name=options.app or os.environ.get("FLY_APP_NAME", ""),
        port=options.port,
        internal_port=options.internal_port,
        hello_port=options.hello_port,
        timeout_seconds=options.timeout,
    )
    return _look_here(options, question) if options.here else _climb(options, question)


def _climb(options: argparse.Namespace, question: Question) -> int:
    from shell.doctor.finding import Verdict

    rungs = _rungs(options, question)
    if options.json:
        from shell.doctor.record import doctor_record

        findings = list(rungs)
        print_json(doctor_record(question.app_name, findings))
    else:
        from shell.doctor.report import show_finding

        screen = open_screen(options)
        findings = []
        for finding in rungs:
            show_finding(screen, finding)
            findings.append(finding)
    return NOT_WELL if findings[-1].verdict is Verdict.FAILED else WELL


def _rungs(options: argparse.Namespace, question: Question) -> Iterator[Finding]:
    """Yield the rungs of a laptop, if this is one, and unless one failed those of the app."""
    from time import sleep

    from shell.doctor.finding import Verdict
    from shell.doctor.ladder import Outside, climb
    from shell.doctor.naming import networks_of
    from shell.phases import Edge, open_connection
    from shell.resolve import Resolver
    from shell.servers import choose_servers

    servers, failed = choose_servers(options.dns), False
    for finding in _laptop_rungs(options, question.app_name, servers):
        failed = finding.verdict is Verdict.FAILED
        yield finding
    if failed:
        return
    networks = networks_of(_text(_IF_INET6), [server.host for server in servers])
    yield from climb(question, Outside(Edge(Resolver(servers).ask, open_connection), sleep, networks))


def _laptop_rungs(options: argparse.Namespace, app_name: str, servers: Sequence[Server]) -> Iterable[Finding]:
    from time import time

    from shell.doctor import interfaces, path_size
    from shell.doctor.laptop import Around, Laptop, climb, wanted_networks
    from shell.doctor.tunnel import is_laptop
    from shell.resolve import Resolver
    from shell.wireguard import read_peer_file

    file = read_peer_file(options.wireguard) if options.wireguard else None
    networks = wanted_networks(servers, file)
    own = interfaces.own_addresses(networks)
    machine_id = os.environ.get("FLY_MACHINE_ID", "")
    if not file and not is_laptop(machine_id, own, servers[0], was_given=options.dns is not None):
        return ()
    around = Around(
        ask=lambda asked, name, kind: Resolver(asked).ask(name, kind),
        last_handshake=interfaces.last_handshake,
        traffic=interfaces.traffic_of,
        mtu=interfaces.mtu_of,
        source_towards=interfaces.source_towards,
        datagram_passes=path_size.datagram_passes,
        stream_passes=path_size.stream_passes,
        now=time,
    )
    return climb(Laptop(app_name, servers, own, networks, file), around)


def _look_here(options: argparse.Namespace, question: Question) -> int:
    from shell.doctor.finding import Verdict
    from shell.doctor.here import look
    from shell.doctor.listening import read_sockets
    from shell.phases import open_connection

    sockets = read_sockets()
    findings = look(question, _text(_HOSTS), os.uname().nodename, sockets, open_connection)
    if options.json:
        from shell.doctor.record import here_record

        print_json(here_record(question.app_name, findings, sockets))
    else:
        from shell.doctor.report import show_finding, show_sockets

        screen = open_screen(options)
        show_sockets(screen, sockets)
        for finding in findings:
            show_finding(screen, finding)
    return NOT_WELL if any(finding.verdict is Verdict.FAILED for finding in findings) else WELL


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux, or no IPv6
        return ""
