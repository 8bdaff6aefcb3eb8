"""A client that runs on the shell Machine and reports in JSON what its requests met.

usage: client.py burst APP N | cycles APP N | hold APP PASSES | hold-two APP
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_SECONDS = 60
POLL_SECONDS = 0.005
HALF_A_REQUEST = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf"
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


def started(app: str) -> int:
    """Return how many Machines the name server calls started."""
    query = dns.message.make_query(f"vms.{app}.internal", dns.rdatatype.TXT)
    answer = dns.query.udp(query, "fdaa::3", timeout=5)
    text = "".join(part.decode() for rrset in answer.answer for record in rrset for part in record.strings)
    return len([machine for machine in text.split(",") if machine])


def wait_until_asleep(app: str) -> None:
    """Ask the name server until no Machine is started."""
    end = time.monotonic() + DEADLINE_SECONDS
    while started(app):
        if time.monotonic() > end:
            raise SystemExit(f"{app} did not fall asleep within {DEADLINE_SECONDS} s")
        time.sleep(POLL_SECONDS)


async def get(app: str) -> tuple[str, bool]:
    """Make one request on a connection of its own; return the status and whether it was cold."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(f"{app}.flycast", 80)
    writer.write(REQUEST)
    answer = (await asyncio.wait_for(reader.read(), DEADLINE_SECONDS)).decode()
    took_ms = (time.monotonic() - began) * 1000
    writer.close()
    await writer.wait_closed()
    age = re.search(r"age;dur=([\d.]+)", answer)
    return answer[9:12] or "empty", age is not None and float(age[1]) < took_ms


def burst(app: str, count: str) -> dict[str, object]:
    """Make `count` requests at once to a sleeping app."""

    async def all_at_once() -> list[tuple[str, bool]]:
        return await asyncio.gather(*(get(app) for _ in range(int(count))))

    wait_until_asleep(app)
    return {"statuses": Counter(status for status, _ in asyncio.run(all_at_once()))}


def cycles(app: str, count: str) -> dict[str, object]:
    """Wait for sleep and make one request, `count` times."""
    statuses: Counter[str] = Counter()
    cold = 0
    for _ in range(int(count)):
        wait_until_asleep(app)
        status, was_cold = asyncio.run(get(app))
        statuses[status] += 1
        cold += was_cold
    return {"statuses": statuses, "cold": cold}


def hold(app: str, passes: str) -> dict[str, object]:
    """Keep a request open, and see whether the Machine stays up over many autostop passes."""
    wait_until_asleep(app)
    with hold_one(app):
        wait_for_started(app, 1)
        seen = set()
        for _ in range(int(passes)):
            seen.add("started" if started(app) else "asleep")
            time.sleep(0.2)
    return {"passes": int(passes), "states": sorted(seen)}


def hold_two(app: str) -> dict[str, object]:
    """Hold a request, and another once a Machine is up for the first; report how many Machines that took."""
    wait_until_asleep(app)
    with hold_one(app):
        one = wait_for_started(app, 1)
        with hold_one(app):
            two = wait_for_started(app, 2)
    return {"started": [one, two]}


def hold_one(app: str) -> socket.socket:
    """Send half a request and leave it at that."""
    connection = socket.create_connection((f"{app}.flycast", 80))
    connection.sendall(HALF_A_REQUEST)
    return connection


def wait_for_started(app: str, count: int) -> int:
    """Ask the name server until `count` Machines are started; return how many are at the end."""
    end = time.monotonic() + DEADLINE_SECONDS
    while (now := started(app)) < count and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    return now


COMMANDS: dict[str, Callable[..., dict[str, object]]] = {
    "burst": burst,
    "cycles": cycles,
    "hold": hold,
    "hold-two": hold_two,
}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
