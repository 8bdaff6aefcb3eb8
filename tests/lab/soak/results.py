"""What a client met with one request, as it is written from the shell Machine to the observer."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum


class Way(StrEnum):
    """How a request goes to the app."""

    FLYCAST = "flycast"
    SIX_PN = "internal"


class Traffic(StrEnum):
    """What a client does."""

    KEEP_ALIVE = "keep-alive"
    NEW = "new"
    SLOW = "slow"
    PIPELINED = "pipelined"
    BIG = "big"
    WEBSOCKET = "websocket"
    SILENT = "silent"
    TALKER = "talker"
    FLOOD = "flood"


class Outcome(StrEnum):
    """What came of it; `OK` is an answer that is its own, and the only one."""

    OK = "ok"
    WRONG = "wrong"
    NO_NAME = "no-name"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    CLOSED = "closed"
    GOODBYE = "goodbye"
    TIMEOUT = "timeout"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    GATEWAY_TIMEOUT = "504"


@dataclass(frozen=True, slots=True)
class Result:
    """One request; times are of the wall clock, `number` counts within its `worker`, `at` is the address dialled."""

    way: Way
    traffic: Traffic
    worker: str
    number: int
    began: float
    ended: float
    outcome: Outcome
    at: str = ""
    machine_id: str = ""
    boot: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """What the nameserver said: the ids (`vms`) or addresses (AAAA) of the started Machines."""

    began: float
    ended: float
    named: tuple[str, ...]


def written(seen: Result | Named) -> str:
    """Return it as a line."""
    return json.dumps(asdict(seen))


def read(line: str) -> Result | Named | None:
    """Return what a line says; None for "I rest now"."""
    said = json.loads(line)
    if "rests" in said:
        return None
    if "named" in said:
        return Named(said["began"], said["ended"], tuple(said["named"]))
    said |= {"way": Way(said["way"]), "traffic": Traffic(said["traffic"]), "outcome": Outcome(said["outcome"])}
    return Result(**said)


RESTS = json.dumps({"rests": True})
