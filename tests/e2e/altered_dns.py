"""A nameserver that says otherwise about some names, and what the lab's says about all others.

usage: altered_dns.py NAME=NODATA|NXDOMAIN… -- CMD…, where CMD gets `--dns` with the address of this nameserver.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

import dns.message
import dns.query
import dns.rcode

UPSTREAM = "fdaa::3"


def answer(wire: bytes, altered: dict[str, str]) -> bytes:
    """Return the altered response, or the lab's own."""
    query = dns.message.from_wire(wire)
    outcome = altered.get(query.question[0].name.to_text(omit_final_dot=True))
    if outcome is None:
        return dns.query.udp(query, UPSTREAM, timeout=5).to_wire()
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.NXDOMAIN if outcome == "NXDOMAIN" else dns.rcode.NOERROR)
    return response.to_wire()


def main() -> int:
    """Serve while CMD runs; return its exit status."""
    split = sys.argv.index("--")
    altered = dict(word.split("=") for word in sys.argv[1:split])
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.bind(("::1", 0))

    def serve() -> None:
        while True:
            wire, client = udp.recvfrom(65535)
            udp.sendto(answer(wire, altered), client)

    threading.Thread(target=serve, daemon=True).start()
    dns_option = f"--dns=[::1]:{udp.getsockname()[1]}"
    return subprocess.run([*sys.argv[split + 1 :], dns_option], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
