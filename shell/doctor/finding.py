"""What a rung found: well, failed or skipped, and for a failure what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from shell.doctor.faults import REMEDIES

if TYPE_CHECKING:
    from shell.doctor.faults import Fault


class Verdict(StrEnum):
    """How a rung ended."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the app, the HTTP and hello ports clients dial, the port inside the Machine."""

    app_name: str
    port: int = 80
    internal_port: int = 8080
    hello_port: int = 1848
    timeout_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What was done, what came back; for a failure the fault, its likely cause and the command."""

    rung: str
    verdict: Verdict
    did: str
    got: str
    fault: Fault | None = None
    cause: str = ""
    command: str = ""


def ok(rung: str, did: str, got: str) -> Finding:
    """Return the finding of a rung that holds."""
    return Finding(rung, Verdict.OK, did, got)


def skipped(rung: str, did: str, got: str) -> Finding:
    """Return the finding of a rung that could not be tried, with the reason in `got`."""
    return Finding(rung, Verdict.SKIPPED, did, got)


def failed(rung: str, did: str, got: str, fault: Fault, app_name: str, *, port: int = 0, what: str = "") -> Finding:
    """Return the finding of a rung that does not hold, its remedy filled in."""
    remedy = REMEDIES[fault]
    words = {"app": app_name, "port": port, "what": what}
    filled = (text.format_map(words) for text in (remedy.cause, remedy.command))
    return Finding(rung, Verdict.FAILED, did, got, fault, *filled)
