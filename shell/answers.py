"""What a nameserver answered, as values: the outcome in words, the records, the Machines listed in TXT.

Rules
- NOERROR with records is ok; NOERROR without is NODATA: the name exists, the type does not (RFC 2308).
- NXDOMAIN means that the name does not exist at all (RFC 8020).
- `vms` and `all.vms` hold `id region,id region`; `regions` and `_apps` hold `a,b` (docs/fly.md, "DNS").
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    REJECTED = "the nameserver did not take the question (another error code)"
    GARBLED = "the answer could not be understood"
    TIMEOUT = "no answer in time (timeout)"
    UNREACHABLE = "no nameserver can be reached"

    @property
    def silent(self) -> bool:
        """Tell whether no nameserver said anything: asking something else would end the same."""
        return self in {Outcome.TIMEOUT, Outcome.UNREACHABLE}

    @property
    def told(self) -> bool:
        """Tell whether the nameserver said what is so: records, or that there are none."""
        return self in {Outcome.OK, Outcome.NXDOMAIN, Outcome.NODATA}


@dataclass(frozen=True, slots=True)
class Answer:
    """One question and how it ended; `records` are addresses or texts, in the server's order."""

    name: str
    record_type: RecordType
    outcome: Outcome
    records: tuple[str, ...] = ()
    ttl_seconds: int | None = None
    elapsed_ms: float = 0.0
    server: str = ""
    over_tcp: bool = False

    def __str__(self) -> str:
        """Say what was asked of whom, and how it ended."""
        said = f"{self.name} {self.record_type} from {self.server}: {self.outcome}"
        if not self.outcome.silent:
            return said
        return f"no nameserver answers: {said}; is this machine on the private network? --dns ADDR asks another server"


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
