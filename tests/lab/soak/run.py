"""One soak from the lab's start to the report."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.states import Event
from tests.e2e.running import PROJECT, RunningLab
from tests.lab.soak import hostile
from tests.lab.soak.clients import ROLES, Client, ClientEndedError
from tests.lab.soak.driver import Driver
from tests.lab.soak.observer import JUDGED_AFTER_SECONDS, Observer, Violation
from tests.lab.soak.results import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.e2e.cold_starts import Usage
    from tests.lab.soak.results import Named, Result
    from tests.lab.soak.schedule import Step

FLY_TOML = f"""\
app = "soak"
primary_region = "ams"
kill_timeout = "5s"
[env]
  DRAIN_SECONDS = "3"
  APP = "tests.lab.soak.app:make"
  PYTHONPATH = "{PROJECT}"
[processes]
  app = "{sys.executable} -m private_svc"
[http_service]
  internal_port = 8080
  auto_stop_machines = "stop"
  [http_service.concurrency]
    type = "requests"
    soft_limit = 50
    hard_limit = 200
  [[http_service.checks]]
    path = "/healthz"
[[services]]
  protocol = "tcp"
  internal_port = 1848
  auto_stop_machines = "stop"
  [services.concurrency]
    type = "connections"
    soft_limit = 50
    hard_limit = 200
  [[services.ports]]
    port = 1848
  [[services.tcp_checks]]
"""
HOSTILE_TOML = f"""\
app = "hostile"
primary_region = "ams"
[processes]
  rogue = "{sys.executable} hostile.py {{seed}}"
[[restart]]
  policy = "always"
"""
SCALE = "app:ams=2,app:cdg=1"
AUTOSTOP_SECONDS = 9
FAULTS_AT_START = ("clock-jump=30", "far-loss=1")
LACKS = {"clock-jump": "fault clock-jump", "far-loss": "sch_netem"}
TICK_SECONDS = 0.1
HISTORY_SECONDS = 30


class NoLabError(Exception):
    """There is no lab to soak on this machine."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a soak came to."""

    seed: int
    seconds: float
    at_start: tuple[str, ...]
    counts: Counter[tuple[str, str, str]]
    moves: Counter[str]
    steps: tuple[tuple[float, Step], ...]
    usages: tuple[Usage, ...]
    violations: tuple[Violation, ...]
    history: tuple[str, ...]
    interrupted: bool

    def lines(self) -> Iterator[str]:
        """Yield it for a person."""
        requests = sum(self.counts.values())
        yield f"seed {self.seed}: {self.seconds:.0f} s, {requests} requests, {len(self.steps)} faults and rests"
        yield f"faults from the start: {', '.join(self.at_start) or 'none, this machine allows none'}"
        struck = Counter(str(step.fault) for _, step in self.steps)
        yield f"faults: {_listed(struck)}"
        yield f"moves: {_listed(self.moves)}"
        for way, traffic in sorted({(way, traffic) for way, traffic, _ in self.counts}):
            outcomes = Counter({key[2]: count for key, count in self.counts.items() if key[:2] == (way, traffic)})
            yield f"  {way:8} {traffic:11} {_listed(outcomes)}"
        for usage in self.usages[:1] + self.usages[-1:]:
            yield f"at rest: {', '.join(f'{name} {value}' for name, value in asdict(usage).items())}"
        if self.violations:
            yield from ("", "history:", *self.history, "")
        for violation in self.violations:
            yield f"VIOLATION at {stamp(violation.when)}: {violation.what}"
        if self.violations:
            yield f"again: python -m tests.lab.soak --seed {self.seed}"

    def values(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "schema_version": 1,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "at_start": self.at_start,
            "requests": {" ".join(key): count for key, count in sorted(self.counts.items())},
            "moves": dict(self.moves),
            "steps": [str(step) for _, step in self.steps],
            "usages": [asdict(usage) for usage in self.usages],
            "violations": [asdict(violation) for violation in self.violations],
            "history": self.history,
            "interrupted": self.interrupted,
        }


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def stamp(when: float) -> str:
    """Return a time as the lab's log has it."""
    return time.strftime("%H:%M:%S", time.gmtime(when)) + f".{int(when * 1000) % 1000:03d}"


def soak(seed: int, seconds: float) -> Report:
    """Bring a lab up and soak it for so many seconds of load, or until an invariant does not hold."""
    with tempfile.TemporaryDirectory() as directory:
        config, rogue = Path(directory, "soak", "fly.toml"), Path(directory, "hostile", "fly.toml")
        for file, text in ((config, FLY_TOML), (rogue, HOSTILE_TOML.format(seed=seed))):
            file.parent.mkdir()
            file.write_text(text, encoding="utf-8")
        shutil.copy(hostile.__file__, rogue.parent)
        lab, at_start = _lab(config, rogue)
        with lab:
            return asyncio.run(_Soak(lab, seed, at_start).run(seconds))


def _lab(config: Path, rogue: Path) -> tuple[RunningLab, tuple[str, ...]]:
    """Return a lab that is coming up, with the faults that this machine allows."""
    faults: tuple[str, ...] = FAULTS_AT_START
    while True:
        options = [f"--org=rogue={rogue}", f"--scale={SCALE}", f"--autostop-interval={AUTOSTOP_SECONDS}"]
        lab = RunningLab(*options, *(f"--fault={fault}" for fault in faults), configs=[config])
        try:
            lab.wait_for("The lab is up|^flycast-lab: ")
            refused = next((line for line in lab.lines if line.startswith("flycast-lab: ")), "")
        except BaseException:
            lab.__exit__()
            raise
        if not refused:
            return lab, faults
        lab.__exit__()
        left = tuple(fault for fault in faults if LACKS[fault.partition("=")[0]] not in refused)
        if left == faults:
            raise NoLabError(f"the lab does not come up: {refused}")
        faults = left


class _Soak:
    """A soak under way."""

    def __init__(self, lab: RunningLab, seed: int, at_start: tuple[str, ...]) -> None:
        self._lab = lab
        self._seed = seed
        self._at_start = at_start
        machines = lab.status()["machines"]
        self._observer = Observer({m["private_ip"]: m["id"] for m in machines if m["app"] == "soak"})
        self._hostile = [m["id"] for m in machines if m["app"] == "hostile"]
        self._violations: list[Violation] = []
        self._enough = asyncio.Event()
        self._interrupted = False

    async def run(self, seconds: float) -> Report:
        """Soak, and return the report."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupt)
        print("the lab is up", flush=True)
        began = time.monotonic()
        clients = [
            await Client.start(
                self._lab.process.pid, role, self._seed, lambda seen: self._blame(self._observer.take(seen))
            )
            for role in ROLES
        ]
        driver = Driver(
            self._lab, self._observer, clients, lambda violation: self._blame([violation]), self._hostile
        )  # fmt: skip
        driving = asyncio.ensure_future(driver.drive(self._seed, seconds))
        tasks = [
            driving,
            asyncio.ensure_future(self._enough.wait()),
            asyncio.ensure_future(self._watch(began, seconds)),
            *(asyncio.ensure_future(client.listen()) for client in clients),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if driving in done and not driving.exception():
                await asyncio.sleep(JUDGED_AFTER_SECONDS + TICK_SECONDS)  # until the last request is judged
                self._look()
            if not self._interrupted and not self._violations:
                _raise_first(done)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(client.end() for client in clients))
        if sys.stderr.isatty():
            print(file=sys.stderr)  # below the line of the progress
        return self._report(time.monotonic() - began, driver)

    def _take(self, seen: Result | Named) -> None:
        self._blame(self._observer.take(seen))

    def _interrupt(self) -> None:
        self._interrupted = True
        self._enough.set()

    def _blame(self, violations: Iterable[Violation]) -> None:
        for violation in violations:
            if not self._interrupted:
                self._violations.append(violation)
                self._enough.set()

    def _look(self) -> None:
        """Take what the log has that is new, and judge."""
        count = len(self._lab.lines)
        lines = self._lab.lines[:count]
        del self._lab.lines[:count]  # an hour of them is too much to keep
        for line in lines:
            if any(f"app[{machine_id}]" in line or f"runner[{machine_id}]" in line for machine_id in self._hostile):
                continue  # how the hostile app ends is its own affair
            self._blame(self._observer.hear(line))
        self._blame(self._observer.judge(time.time()))

    async def _watch(self, began: float, seconds: float) -> None:
        while self._lab.process.poll() is None:
            self._look()
            if sys.stderr.isatty():
                requests = sum(self._observer.counts.values())
                good = sum(n for key, n in self._observer.counts.items() if key[2] is Outcome.OK)
                print(
                    f"\r{time.monotonic() - began:6.0f} s of {seconds:.0f} and rests, {requests} requests, "
                    f"{requests - good} excused, starts {self._observer.moves[Event.START]} ",
                    end="", file=sys.stderr, flush=True,
                )  # fmt: skip
            await asyncio.sleep(TICK_SECONDS)
        raise ClientEndedError(f"the lab ended: {' '.join(list(self._observer.recent)[-5:])}")

    def _report(self, seconds: float, driver: Driver) -> Report:
        since = time.time() - HISTORY_SECONDS
        steps = [f"{stamp(when)} {step}" for when, step in driver.history if when > since]
        return Report(
            self._seed,
            seconds,
            self._at_start,
            Counter({(str(w), str(t), str(o)): n for (w, t, o), n in self._observer.counts.items()}),
            Counter({str(event): count for event, count in self._observer.moves.items()}),
            tuple(driver.history),
            tuple(driver.usages),
            tuple(self._violations[:10]),
            (*steps, "", *self._observer.recent),
            self._interrupted,
        )


def _raise_first(tasks: Iterable[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.result()
