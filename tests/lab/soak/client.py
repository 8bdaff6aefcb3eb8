"""A client process of the soak, on the shell Machine.

usage: python -m tests.lab.soak.client http|hello|sockets|names|crowd SEED
Reads one command a line: go, rest, idle COUNT, flood COUNT, release.  Writes a JSON line for each request.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from typing import TYPE_CHECKING

import dns.asyncquery
import dns.message
import dns.rdatatype

from tests.lab.soak import exchanges
from tests.lab.soak.results import RESTS, Named, Result, Traffic, Way, written

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.lab.soak.exchanges import Answer, Caller

APP = "soak"
NAMESERVER = "fdaa::3"
DEADLINE_SECONDS = {Way.FLYCAST: 45, Way.SIX_PN: 10}
CROWD_DEADLINE_SECONDS = 20
LOOK_SECONDS = 0.1
HTTP = {Traffic.KEEP_ALIVE: 3, Traffic.NEW: 2, Traffic.SLOW: 2, Traffic.PIPELINED: 1, Traffic.BIG: 1}
LOADS = {
    "http": HTTP,
    "hello": {Traffic.SILENT: 1, Traffic.TALKER: 2},
    "sockets": {Traffic.WEBSOCKET: 2},
}
PORTS = {
    (Way.FLYCAST, True): 80,
    (Way.SIX_PN, True): 8080,
    (Way.FLYCAST, False): 1848,
    (Way.SIX_PN, False): 1848,
}
PAUSE_SECONDS = (0.01, 0.12)


class Pace:
    """Lets workers go on or rest, and knows when all of them rest."""

    def __init__(self) -> None:
        self._go = asyncio.Event()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def go(self) -> None:
        self._go.set()

    async def rest(self) -> None:
        """Return once nobody does anything."""
        self._go.clear()
        await self._idle.wait()

    @property
    def resting(self) -> bool:
        return not self._go.is_set()

    async def begin(self) -> None:
        await self._go.wait()
        self._busy += 1
        self._idle.clear()

    def end(self) -> None:
        self._busy -= 1
        if not self._busy:
            self._idle.set()


def say(line: str) -> None:
    """Write one line to the observer."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Worker:
    """Makes one request after the other, always of the same kind."""

    def __init__(self, name: str, way: Way, traffic: Traffic, seed: str) -> None:
        self.name = name
        self.way = way
        self.traffic = traffic
        self.rng = random.Random(f"{seed} {name}")  # noqa: S311 - the same load every time
        self.number = 0
        port = PORTS[way, traffic not in (Traffic.SILENT, Traffic.TALKER)]
        self.caller = exchanges.CALLERS[traffic](f"{APP}.{way}", port, self.rng)

    async def forever(self, pace: Pace) -> None:
        while True:
            await pace.begin()
            try:
                while not pace.resting:
                    await self.once()
                    await asyncio.sleep(self.rng.uniform(*PAUSE_SECONDS))  # the load's own pace
            finally:
                await self.caller.close()
                pace.end()

    async def once(self) -> None:
        """Make the next request, or the next few at once, and tell what came of each."""
        began = time.time()
        count = self.caller.at_once
        ids = [f"{self.name}.{self.number + offset}" for offset in range(count)]
        answers = await attempt(self.caller, ids, DEADLINE_SECONDS[self.way])
        ended = time.time()
        for answer in answers:
            say(written(self._result(answer, began, ended)))
            self.number += 1

    def _result(self, answer: Answer, began: float, ended: float) -> Result:
        return Result(
            self.way, self.traffic, self.name, self.number, began, ended, answer.outcome,
            self.caller.address, answer.machine_id, answer.boot, answer.detail,
        )  # fmt: skip


async def attempt(caller: Caller, ids: list[str], deadline_seconds: float) -> list[Answer]:
    """Return an answer for each id; what never came is told by the outcome of the attempt."""
    answers: list[Answer] = []
    try:
        async with asyncio.timeout(deadline_seconds):
            async for answer in caller.ask(ids):
                answers.append(answer)  # noqa: PERF401 - those before a failure count
    except (OSError, EOFError, TimeoutError) as error:
        await caller.close()
        answers += [exchanges.failed(error)] * (len(ids) - len(answers))
    return answers


async def watch_names(pace: Pace) -> None:
    """Ask which Machines are started, over TCP, where no fault loses anything."""
    questions = [
        dns.message.make_query(f"vms.{APP}.internal", dns.rdatatype.TXT),
        dns.message.make_query(f"{APP}.internal", dns.rdatatype.AAAA),
    ]
    while True:
        await pace.begin()
        try:
            for question in questions:
                began = time.time()
                answer = await dns.asyncquery.tcp(question, NAMESERVER, timeout=10)
                ended = time.time()
                records = [record for rrset in answer.answer for record in rrset]
                if question is questions[0]:
                    text = "".join(part.decode() for record in records for part in record.strings)
                    named = [machine.split()[0] for machine in text.split(",") if machine]
                else:
                    named = [record.address for record in records]
                say(written(Named(began, ended, tuple(named))))
                await asyncio.sleep(LOOK_SECONDS)  # how often to look
        finally:
            pace.end()


class Crowd:
    """Many connections at once: idle ones that are held, or a flood of requests."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._held: list[asyncio.StreamWriter] = []
        self._numbers = 0
        self._floods: set[asyncio.Task[None]] = set()

    async def idle(self, count: int) -> None:
        """Open connections that say nothing: half over Flycast, some to the hello port, the rest over 6PN."""
        targets = [("flycast", 80), ("flycast", 80), ("internal", 8080), ("internal", 1848)]
        opening = (asyncio.open_connection(f"{APP}.{targets[n % 4][0]}", targets[n % 4][1]) for n in range(count))
        for opened in await asyncio.gather(*opening, return_exceptions=True):
            if not isinstance(opened, BaseException):
                self._held.append(opened[1])

    def flood(self, count: int) -> None:
        """Make so many requests at this moment."""
        for _ in range(count):
            self._numbers += 1
            worker = Worker(f"flood{self._numbers}", Way.FLYCAST, Traffic.FLOOD, self._seed)
            task = asyncio.create_task(self._one(worker))
            self._floods.add(task)
            task.add_done_callback(self._floods.discard)

    async def _one(self, worker: Worker) -> None:
        await worker.once()
        await worker.caller.close()

    async def release(self) -> None:
        """Let all of them go."""
        for writer in self._held:
            writer.close()
        self._held = []
        if self._floods:
            await asyncio.wait(self._floods)


async def obey(pace: Pace, crowd: Crowd) -> None:
    """Carry out commands until there are no more."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        match line.decode().split():
            case ["go"]:
                pace.go()
            case ["rest"]:
                await crowd.release()
                await pace.rest()
                say(RESTS)
            case ["idle", count]:
                await crowd.idle(int(count))
            case ["flood", count]:
                crowd.flood(int(count))
            case ["release"]:
                await crowd.release()


async def main(role: str, seed: str) -> None:
    """Work until standard input ends."""
    pace, crowd = Pace(), Crowd(seed)
    working: list[Awaitable[None]] = []
    if role == "names":
        working = [watch_names(pace)]
    elif role != "crowd":
        working = [
            Worker(f"{way}-{traffic}-{number}", way, traffic, seed).forever(pace)
            for way in Way
            for traffic, count in LOADS[role].items()
            for number in range(count)
        ]
    tasks = [asyncio.ensure_future(work) for work in working]
    obeying = asyncio.ensure_future(obey(pace, crowd))
    done, _ = await asyncio.wait([*tasks, obeying], return_when=asyncio.FIRST_COMPLETED)
    for task in (*tasks, obeying):
        task.cancel()
    for each in done:
        each.result()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
