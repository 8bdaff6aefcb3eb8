"""A small line protocol: locks that end with the session of their holder. RAW=tests.examples.locks:handle serves it.

PING answers PONG; LOCK name answers OK, or HELD and by whom; FREE name answers OK; anything else answers WHAT.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from private_svc import logs

if TYPE_CHECKING:
    from private_svc.ingress import Caller

IDLE_SECONDS = 300.0  # then a silent session ends, because an open one keeps the Machine awake
HELD: dict[str, str] = {}  # by name, the address of the holder


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller) -> None:
    """Talk to one caller until its input ends or it is silent for `IDLE_SECONDS`; free its locks, whatever happens."""
    mine: set[str] = set()
    try:
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                line = await reader.readline()
                if not line:  # the caller is done, or the Machine is leaving
                    writer.write(b"BYE\n")
                    return
                writer.write(answer(line.decode(errors="replace").split(), caller.client, mine).encode() + b"\n")
                await writer.drain()
    except TimeoutError:
        writer.write(b"BYE: silent for too long\n")
    except ValueError:
        writer.write(b"BYE: that line is too long\n")
    finally:
        for name in mine:
            del HELD[name]
        logs.event("session ended", client=caller.client, freed=len(mine))


def answer(words: list[str], client: str, mine: set[str]) -> str:
    """Return the answer to one line of `client`, whose session has the locks `mine`."""
    match words:
        case ["PING"]:
            return "PONG"
        case ["LOCK", name] if name in HELD:
            return f"HELD by {HELD[name]}"
        case ["LOCK", name]:
            HELD[name] = client
            mine.add(name)
            return "OK"
        case ["FREE", name] if name in mine:
            del HELD[name]
            mine.remove(name)
            return "OK"
    return "WHAT: expected PING, LOCK name, or FREE name of a lock that is yours"
