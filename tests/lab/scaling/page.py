"""docs/scaling.md, made of what was measured and nothing else.  Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.nameserver import MAX_TCP_BYTES
from lab.topology import MAX_MACHINES
from private_svc.listeners import BACKLOG
from private_svc.raw import CLOSE_SECONDS
from private_svc.raw import OPEN_AT_MOST as HELLOS_OPEN
from private_svc.web.connection import NEW_SECONDS
from private_svc.web.connections import OPEN_AT_MOST as CONNECTIONS_OPEN
from tests.lab.scaling.series import DECADE, STEEPER, costs, knee, slope
from tests.lab.scaling.subjects import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.lab.scaling.series import Figure, Series
    from tests.lab.scaling.subjects import Subject

_AAAA_BYTES = 28  # an address in an answer, its name compressed

_INTRODUCTION = f"""\
# Scaling

How time and memory grow with numbers, measured; made by `python -m tests.lab.scaling`, and not to be edited by hand.
A cost is the least of the rounds, because other work on the machine only ever adds to it; errors are of the middle
one. The figures say how things grow and where that changes, not how fast yours is: the load is said below each table.

![time against number, with the knees](images/scaling.svg)

**The knee** is a rule, not an impression. What one more costs is told by the first decade (the first point at {DECADE}
times the first number or more, where the cost rose by more than its noise); the knee is the first point after it where
one more costs {STEEPER:g} times as much or more, and does so at the next point too. On a busy machine the knees of
processor time and memory hold; those of waiting come early.
"""

_LIMITS = f"""\
## What limits

- **Machines:** {MAX_MACHINES:,} in one lab, as many /29 as 172.19.0.0/16 has. Each takes a file descriptor of the
  supervisor and two processes; what runs out first is memory, the kernel's for the namespaces and the inits'.
- **Hellos:** {HELLOS_OPEN:,} are open at a time. Past that the oldest that has its greeting makes room, so nobody waits
  for who lingers (at most {CLOSE_SECONDS:g} s).
- **Requests:** {CONNECTIONS_OPEN:,} connections are open at a time. Past that callers wait in the kernel until one
  ends; a connection on which nobody is waiting for an answer makes room, once it is {NEW_SECONDS:g} s old or was asked
  on before.
- **Both:** the kernel queues {BACKLOG:,} callers a listener (the backlog; `net.core.somaxconn` may make it fewer). Who
  comes when the queue is full is not refused: its SYN is lost, and sent again after 1, 3, 7 … seconds. That is p99 past
  the last knee, and no setting of the service changes it.
- **Clients:** callers come from 64 addresses of loopback, because one has some 28,000 ports and a used one rests for a
  second. The client takes one of the cores: on a machine with two the service never has more than the other.
- **Names:** some 4,000 answers are kept, until a Machine changes state; what is not kept has to be made, and a
  Machine's own name is found by going through the app's Machines. Over UDP an answer holds some 40 addresses, then the
  client comes again over TCP; there {MAX_TCP_BYTES:,} bytes are all a message can be, so past about
  {MAX_TCP_BYTES // _AAAA_BYTES:,} started Machines `APP.internal` is SERVFAIL.
"""


def page_of(measured: Sequence[Series]) -> str:
    """Return the whole page."""
    parts = [_INTRODUCTION, _knees(measured), *(_section(series) for series in measured), _LIMITS]
    return "\n".join(parts)


def _knees(measured: Iterable[Series]) -> str:
    rows = [
        ("what", "figure", "one more, at first", "knee at", "one more, there"),
        *(row for series in measured for row in _knees_of(series, SUBJECTS[series.what])),
    ]
    return f"## Where the knees are\n\n{_table(rows)}\n"


def _knees_of(series: Series, subject: Subject) -> Iterator[tuple[str, ...]]:
    for figure in subject.figures:
        if figure.noise is None:
            continue
        name, _, unit = figure.heading.rpartition(", ")
        pairs = costs(series, figure)
        found = knee(pairs, figure.noise)
        told = slope(pairs, figure.noise)
        if told is None:
            yield subject.name, name, "below the noise", "none", ""
        elif found is None:
            yield subject.name, name, _amount(told[0], unit), f"none up to {pairs[-1][0]:,}", ""
        else:
            yield subject.name, name, _amount(found.at_first, unit), f"{found.count:,}", _amount(found.there, unit)


def _amount(value: float, unit: str) -> str:
    smaller, times = {"ms": ("µs", 1000), "MiB": ("KiB", 1024)}.get(unit, (unit, 1))
    return f"{value:,.3g} {unit}" if value >= 1 else f"{value * times:,.3g} {smaller}"


def _section(series: Series) -> str:
    subject = SUBJECTS[series.what]
    rows = [(subject.counted, *(figure.heading for figure in subject.figures))]
    rows += [
        (f"{point.count:,}", *(_cell(point.value(figure), figure) for figure in subject.figures))
        for point in series.points
    ]
    rounds = max(len(point.rounds) for point in series.points)
    left_out = f" Left out: {series.left_out}." if series.left_out else ""
    made = f"`{series.command}`, {series.date}, rounds: {rounds}; {series.machine}.{left_out}"
    return f"## {subject.title}\n\n{subject.about}\n\n{_table(rows)}\n\n{made}\n"


def _cell(value: float, figure: Figure) -> str:
    return f"{round(value, figure.digits) + 0.0:,.{figure.digits}f}"  # adding 0 makes -0 positive


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    return "\n".join(
        ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(row) + " |" for row in body)]
    )
