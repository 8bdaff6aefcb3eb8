"""The client of cold_starts, on the shell Machine: wakes a sleeping app over and over, and races its stops.

usage: python -m tests.e2e.cold_client APP CYCLES http|tcp
Prints one JSON object: how many requests, how many of them cold, and every answer that was not the right one.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

from tests.e2e.client import DEADLINE_SECONDS, get, wait_until_asleep

MOST_AT_ONCE = 20
RACE_EVERY = 4
RACE_SECONDS = 0.25
HELLO_PORT = 1848


async def hello(app: str) -> tuple[str, bool]:
    """Take one hello; return `200` when it came whole, and False: a raw answer has no proof of a cold start."""
    reader, writer = await asyncio.open_connection(f"{app}.flycast", HELLO_PORT)
    said = await asyncio.wait_for(reader.read(), DEADLINE_SECONDS)
    writer.close()
    await writer.wait_closed()
    return "200" if said == b"hello\n" else repr(said), False


async def together(app: str, count: int, how: str) -> list[tuple[str, bool]]:
    """Make `count` requests at once; an error is an answer, too."""
    ask = get if how == "http" else hello
    found = await asyncio.gather(*(ask(app) for _ in range(count)), return_exceptions=True)
    return [(repr(each), False) if isinstance(each, BaseException) else each for each in found]


def main(app: str, cycles: int, how: str) -> dict[str, object]:
    """Wake the app `cycles` times, one in `RACE_EVERY` of them while it may be stopping at this very moment."""
    rng = random.Random(cycles)  # noqa: S311 - the same history every time
    requests = cold = races = 0
    failed: list[str] = []
    slowest_ms = 0.0
    for cycle in range(cycles):
        if cycle % RACE_EVERY:
            wait_until_asleep(app)
        else:
            races += 1
            time.sleep(rng.uniform(0, RACE_SECONDS))  # the race itself: to meet every moment of a stop
        began = time.monotonic()
        answers = asyncio.run(together(app, rng.randint(1, MOST_AT_ONCE), how))
        slowest_ms = max(slowest_ms, (time.monotonic() - began) * 1000)
        requests += len(answers)
        cold += any(was_cold for _, was_cold in answers)
        failed += [f"cycle {cycle}: {status}" for status, _ in answers if status != "200"]
    wait_until_asleep(app)
    return {"requests": requests, "cold": cold, "races": races, "failed": failed, "slowest_ms": round(slowest_ms)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
