"""One run against one target: input after input, until one breaks it, and then the shortest that still does."""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from tests.fuzz.bounds import HangError, restart_clock, within_bounds
from tests.fuzz.mutation import Mutator
from tests.fuzz.target import FOUND, kind

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from pathlib import Path

    from tests.fuzz.target import Check, Target

_SHORTENING_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that breaks a target, as short as it could be made, and the error."""

    target: Target
    data: bytes
    error: Exception

    def __str__(self) -> str:
        """Say what went wrong, and with what."""
        wrong = f"{type(self.error).__name__}: {self.error}"
        return f"{self.target.name}: {len(self.data)} bytes, {self.data[:300]!r}: {wrong}"

    def save(self) -> Path:
        """Keep the input with the target's others."""
        path = self.target.folder / f"{FOUND}{sha256(self.data).hexdigest()[:10]}"
        path.write_bytes(self.data)
        return path


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did: inputs, seconds, how many kinds of outcome there were, and what broke."""

    executions: int
    seconds: float
    outcomes: int
    failure: Failure | None


def failure_of(check: Check, data: bytes) -> Exception | None:
    """Return the error that `data` brings about, None where it brings none; call it within bounds."""
    try:
        restart_clock()
        check(data)
    except Exception as error:  # noqa: BLE001 - any is a finding
        return error
    return None


def failures_of(target: Target, inputs: Iterable[bytes]) -> list[Failure]:
    """Feed a target some inputs; return what breaks it."""
    with within_bounds(), target.opened() as check:
        errors = [(data, failure_of(check, data)) for data in inputs]
    return [Failure(target, data, error) for data, error in errors if error is not None]


def run(target: Target, seed: int, *, executions: int = 0, seconds: float = 0) -> Run:
    """Feed a target for so many inputs, or for so long, or until one breaks it."""
    corpus = list(target.corpus().values())
    mutator = Mutator(corpus, target.tokens, random.Random(seed))  # noqa: S311 - to be repeated, not to be secret
    seen: set[Hashable] = set()
    began_s = time.monotonic()
    done = 0
    failure = None
    with within_bounds(), target.opened() as check:
        while done < executions or time.monotonic() - began_s < seconds:
            data = corpus[done] if done < len(corpus) else mutator.fresh()
            done += 1
            try:
                restart_clock()
                outcome = check(data)
            except Exception as error:  # noqa: BLE001 - any is a finding
                failure = _shortest(target, check, data, error)
                break
            if outcome not in seen:
                seen.add(outcome)
                mutator.keep(data)
    return Run(done, time.monotonic() - began_s, len(seen), failure)


def _shortest(target: Target, check: Check, data: bytes, error: Exception) -> Failure:
    """Leave out what can be left out while the same goes wrong: what comes before, what follows, what is between."""
    if isinstance(error, HangError):  # each try would take as long; a loop torn out of it is no more
        return Failure(target, data, error)
    until_s = time.monotonic() + _SHORTENING_SECONDS

    def breaks(shorter: bytes) -> bool:
        again = failure_of(check, shorter)
        return again is not None and kind(again) == kind(error)

    starts = [match.end() for match in re.finditer(rb"\n", data)]
    data = next((data[at:] for at in reversed(starts) if time.monotonic() < until_s and breaks(data[at:])), data)
    ends = [match.end() for match in re.finditer(rb"\n", data)]
    data = next((data[:at] for at in ends if time.monotonic() < until_s and breaks(data[:at])), data)
    size = len(data) // 2
    while size:
        at = 0
        while at < len(data) and time.monotonic() < until_s:
            shorter = data[:at] + data[at + size :]
            if breaks(shorter):
                data = shorter
            else:
                at += size
        size = min(size // 2, len(data))
    return Failure(target, data, failure_of(check, data) or error)
