"""One request timed by the probe and by `curl -w`, each phase delayed by a known time where it really happens.

A nameserver holds its answer, a wire (a TUN device that sends every packet back with its ends exchanged) holds the SYN,
the app holds its first byte and its last.  `python -m tests.bench.phases` does it in namespaces of its own, with the
real programs, and prints JSON: for the probe and for curl, the ms of every phase.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

INSIDE = "FLYCAST_BENCH_INSIDE"
HERE, THERE = "fd00:77::1", "fd00:77::2"  # what is sent to THERE comes back to HERE
TRUTH_MS = {"resolve": 30.0, "connect": 20.0, "first byte": 40.0, "body": 30.0}
CURL_TIMES = "%{time_namelookup} %{time_connect} %{time_starttransfer} %{time_total}"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
IPV6_HEADER, TCP, FLAGS, SYN, ACK = 40, 6, 13, 0x02, 0x10

Phases = dict[str, float]


def hold(phase: str, since_s: float | None = None) -> None:
    """Let the known time of a phase pass, from now or from a moment on."""
    now_s = time.monotonic()
    time.sleep(max(0.0, (now_s if since_s is None else since_s) + TRUTH_MS[phase] / 1000 - now_s))


def wire() -> None:
    """Send every TCP packet back with its addresses exchanged; the checksum stays right."""
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
    for command in ("link set lo up", "link set wire up", f"address add {HERE}/64 dev wire nodad"):
        subprocess.run(["ip", *command.split()], check=True, timeout=10)
    threading.Thread(target=reflect, args=(tun,), daemon=True).start()


def reflect(tun: int) -> None:
    """Work the wire for as long as the process lives."""
    while packet := os.read(tun, 65536):
        if packet[6] != TCP:
            continue
        if packet[IPV6_HEADER + FLAGS] & (SYN | ACK) == SYN:
            hold("connect")
        os.write(tun, packet[:8] + packet[24:40] + packet[8:24] + packet[40:])


def nameserver() -> None:
    """Be the nameserver of this namespace for an app that sleeps."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 53))
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("nameserver 127.0.0.1\n")
        file.flush()
        subprocess.run(["mount", "--bind", file.name, "/etc/resolv.conf"], check=True, timeout=10)
    threading.Thread(target=answer, args=(udp,), daemon=True).start()


def answer(udp: socket.socket) -> None:
    """Answer questions for as long as the process lives."""
    records = {("shop.flycast.", "AAAA"): THERE, ("all.vms.shop.internal.", "TXT"): '"d890 ams"'}
    while True:
        wire_form, client = udp.recvfrom(4096)
        asked_s = time.monotonic()
        question = dns.message.from_wire(wire_form)
        name, kind = question.question[0].name, dns.rdatatype.to_text(question.question[0].rdtype)
        reply = dns.message.make_response(question)
        reply.flags |= dns.flags.RA
        if record := records.get((name.to_text(), kind)):
            reply.answer.append(dns.rrset.from_text(name, 5, "IN", kind, record))
        reply_wire = reply.to_wire()
        if kind == "AAAA":
            hold("resolve", asked_s)
        udp.sendto(reply_wire, client)


def app() -> int:
    """Serve; return the port."""
    listener = socket.create_server((HERE, 0), family=socket.AF_INET6)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    return int(listener.getsockname()[1])


def serve(listener: socket.socket) -> None:
    """Answer one connection after the other for as long as the process lives."""
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while b"\r\n\r\n" not in connection.recv(65536):
                pass
            hold("first byte")
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\na")
            hold("body")
            connection.sendall(b"b")


def probed(port: int) -> list[Phases]:
    """Return the requests of one run of the probe."""
    command = [sys.executable, "-m", "shell", "wake", "shop", f"--port={port}", "--warm=1", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=30)
    (cycle,) = json.loads(done.stdout)["cycles"]
    return [
        {
            "resolve": request["resolve_ms"],
            "connect": request["connect_ms"],
            "first byte": request["first_byte_ms"],
            "body": request["total_ms"] - request["resolve_ms"] - request["connect_ms"] - request["first_byte_ms"],
        }
        for request in cycle["requests"]
    ]


def curled(port: int) -> Phases:
    """Return one request of curl: it tells moments, the phases are between them."""
    command = ["curl", "-sS", "-o", "/dev/null", "-w", CURL_TIMES, f"http://shop.flycast:{port}/"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=30)
    moments_ms = [0.0, *(float(word) * 1000 for word in done.stdout.split())]
    return {name: moments_ms[n + 1] - moments_ms[n] for n, name in enumerate(TRUTH_MS)}


def measure() -> dict[str, Phases]:
    """Time a request with each: the probe's cold one and its warm one, two of curl's."""
    wire()
    nameserver()
    port = app()
    return {"probe": _middle(probed(port)), "curl": _middle([curled(port), curled(port)])}


def _middle(requests: list[Phases]) -> Phases:
    return {name: statistics.median(phases[name] for phases in requests) for name in TRUTH_MS}


def main() -> None:
    """Go into namespaces of one's own, then measure."""
    if os.environ.get(INSIDE):
        print(json.dumps(measure()))
        return
    command = ["unshare", "--user", "--map-root-user", "--net", "--mount", sys.executable, "-m", "tests.bench.phases"]
    sys.exit(subprocess.run(command, env=os.environ | {INSIDE: "1"}, check=False).returncode)


if __name__ == "__main__":
    main()
