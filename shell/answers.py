"""What a nameserver answered, as values: the outcome in words, the records, the Machines listed in TXT.

Rules
- NOERROR with records is ok; NOERROR without is NODATA: the name exists, the type does not (RFC 2308).
- NXDOMAIN means that the name does not exist at all (RFC 8020).
- `vms` and `all.vms` hold `id region,id region`; `regions` and `_apps` hold `a,b` (docs/fly.md, "DNS").
- When every nameserver failed, the outcome is that of the server that said most: an answer of any kind before silence,
  silence before an address that cannot be reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class RecordType(StrEnum):
    """The two types the private network's nameserver knows, and the one that only names outside have."""

    AAAA = "AAAA"
    TXT = "TXT"
    A = "A"


class Outcome(StrEnum):
    """How a question ended, in words."""

    OK = "ok"
    NXDOMAIN = "no such name (NXDOMAIN)"
    NODATA = "name exists, but no record of this type (NODATA)"
    SERVFAIL = "the nameserver failed (SERVFAIL)"
    REFUSED = "the nameserver refused the question (REFUSED)"
    REJECTED = "the nameserver did not take the question"
    GARBLED = "a garbled answer"
    TRUNCATED = "the answer was truncated, and TCP to the nameserver failed"
    TIMEOUT = "no answer in time (timeout)"
    UNREACHABLE = "the nameserver cannot be reached"

    @property
    def silent(self) -> bool:
        """Tell whether no nameserver said anything: asking something else would end the same."""
        return self in {Outcome.TIMEOUT, Outcome.UNREACHABLE}

    @property
    def told(self) -> bool:
        """Tell whether the nameserver said what is so: records, or that there are none."""
        return self in {Outcome.OK, Outcome.NXDOMAIN, Outcome.NODATA}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one nameserver did not tell; `reason` is the error of the system or the code of the server, if any."""

    server: str
    outcome: Outcome
    reason: str = ""

    def __str__(self) -> str:
        """Say what happened."""
        return f"{self.outcome}: {self.reason}" if self.reason else self.outcome


@dataclass(frozen=True, slots=True)
class Answer:
    """One question and how it ended; `records` are addresses or texts, in the server's order.

    `failures` has the nameservers that did not tell, in the order in which they were asked.
    """

    name: str
    record_type: RecordType
    outcome: Outcome
    records: tuple[str, ...] = ()
    ttl_seconds: int | None = None
    elapsed_ms: float = 0.0
    server: str = ""
    over_tcp: bool = False
    failures: tuple[Failure, ...] = ()

    @property
    def endings(self) -> tuple[str, ...]:
        """Say how the question ended; when several nameservers failed, how each of them did."""
        if self.outcome.told or not self.failures:
            return (self.outcome,)
        if len(self.failures) == 1:
            return (str(self.failures[0]),)
        return tuple(f"{failure.server}: {failure}" for failure in self.failures)

    @property
    def ending(self) -> str:
        """Say the endings in one line."""
        return "; ".join(self.endings)

    def __str__(self) -> str:
        """Say what was asked of which nameserver, and how it ended."""
        server = f" from {self.server}" if len(self.endings) == 1 else ""
        said = f"{self.name} {self.record_type}{server}: {self.ending}"
        if not self.outcome.silent:
            return said
        return f"no nameserver answers: {said}; is this machine on the private network? --dns ADDR asks another server"


def most_telling(failures: Iterable[Failure]) -> Failure:
    """Return the failure that stands for all; of no nameserver at all, that none can be reached."""
    return min(failures, key=_says_little, default=Failure("", Outcome.UNREACHABLE))


def _says_little(failure: Failure) -> tuple[bool, bool]:
    return failure.outcome.silent, failure.outcome is Outcome.UNREACHABLE


@dataclass(frozen=True, slots=True, order=True)
class ListedMachine:
    """A Machine as `vms` or `all.vms` lists it."""

    machine_id: str
    region: str


def listed_machines(answer: Answer) -> tuple[ListedMachine, ...]:
    """Return the Machines of a `vms` or `all.vms` answer, by Machine ID."""
    words = (item.split() for item in listed_words(answer))
    return tuple(sorted({ListedMachine(item[0], " ".join(item[1:])) for item in words}))


def listed_words(answer: Answer) -> tuple[str, ...]:
    """Return the words of a `regions` or `_apps` answer, in order, each once."""
    words = (word.strip() for record in answer.records for word in record.split(","))
    return tuple(dict.fromkeys(word for word in words if word))
