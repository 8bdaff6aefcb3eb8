"""One attempt: a function that tries something, run in a process of its own, and what came of it.

A function returns its evidence when it reached what it must not, an empty text when it found nothing, and raises
`OSError` when it was refused.  What it wrote where nobody in the Machine can see whether it arrived, it signs with
`signature`: the test looks for that outside.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Targets = Mapping[str, Any]
    Attack = Callable[[Targets], str]

SECONDS = 20.0


class NotTriedError(Exception):
    """What the attempt needs is not there, so that it says nothing."""


@dataclass(frozen=True)
class Attempt:
    """One line of the table.

    `unless` has, by a condition of the run, why the attempt cannot be made there.  `not_everywhere` says why the
    kernel of some machines refuses it to everybody: only then may its control fail.
    """

    name: str
    tries: str
    attack: Attack
    unless: Mapping[str, str] = field(default_factory=dict)
    not_everywhere: str = ""
    seconds: float = SECONDS


def signature(name: str) -> str:
    """Return what the attempt `name` writes, so that whoever finds it outside knows who did it."""
    return f"reached-by-{name}"


def make(attempt: Attempt, targets: Targets) -> dict[str, str]:
    """Make an attempt in a child; return its `outcome` and `why`.

    The outcome is open, refused, broken (the attempt itself is at fault), not tried, or excused: the table says why it
    cannot be tried in such a run.
    """
    for condition, why in attempt.unless.items():
        if condition in targets["conditions"]:
            return {"outcome": "excused", "why": why}
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _be_the_child(attempt, targets, write)
    os.close(write)
    said = _read_until(read, time.monotonic() + attempt.seconds)
    os.close(read)
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if said:
        result: dict[str, str] = json.loads(said)
        return result
    if os.WIFSIGNALED(status) and said is not None:
        return {"outcome": "refused", "why": f"the process was killed by signal {os.WTERMSIG(status)}"}
    return {"outcome": "broken", "why": f"no answer in {attempt.seconds:g} s"}


def _read_until(fd: int, end: float) -> bytes | None:
    """Return all that is written until the end of it, or None when that takes too long."""
    said = b""
    while True:
        ready, _, _ = select.select([fd], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return None
        piece = os.read(fd, 65536)
        if not piece:
            return said
        said += piece


def _be_the_child(attempt: Attempt, targets: Targets, report: int) -> None:
    try:
        os.setsid()  # a session is a process group, too: all of it is killed when the time is over
        result = _outcome_of(attempt, targets)
        os.write(report, json.dumps(result).encode()[:60000])
    finally:
        os._exit(0)


def _outcome_of(attempt: Attempt, targets: Targets) -> dict[str, str]:
    try:
        evidence = attempt.attack(targets)
    except NotTriedError as reason:
        return {"outcome": "not tried", "why": str(reason)}
    except MemoryError:
        return {"outcome": "refused", "why": "no more memory is given"}
    except OSError as error:
        return {"outcome": "refused", "why": f"{error.strerror or error} ({error.errno})"}
    except BaseException:  # noqa: BLE001 - a mistake in an attempt is reported, as one
        return {"outcome": "broken", "why": traceback.format_exc()[-2000:]}
    if evidence:
        return {"outcome": "open", "why": evidence[:2000]}
    return {"outcome": "refused", "why": "nothing of it is to be found"}
