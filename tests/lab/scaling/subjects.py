"""What can be measured: how many of what, which figures, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.lab.scaling import load, machines, names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.lab.scaling.series import Figure


@dataclass(frozen=True, slots=True)
class Subject:
    """Something whose number can grow."""

    name: str
    title: str
    counted: str
    about: str
    counts: tuple[int, ...]
    figures: tuple[Figure, ...]
    drawn: tuple[str, ...]  # the keys of what the chart shows
    measure: Callable[[int], Mapping[str, float]]
    is_callers: bool = False


_MACHINES = """\
`flycast-lab run` with that many Machines of `sleep inf`. Up is from the start of the command to a program on the shell
Machine, down from that program's end to the end of the command. Processor time is that of every process of the lab,
from start to end. All Machines: what their inits and apps hold together, with their part of shared pages. Kernel: how
much more its slab, stacks and page tables hold, the most of the rounds: what a lab before gives back late is taken off.
At rest nobody asks anything: what is left is the look at every Machine's memory, four times a second."""

_HELLOS = f"""\
That many callers at once, each on a connection of its own: connect, read `hello` to the end, come again, until there
were {load.ROUNDS_OF_CALLS} calls for each ({load.FEWEST_CALLS:,} at least), from one process over loopback to a fresh
service. The time is from connect to the end of the answer. With all of them waiting, p50 is about their number
through calls/s: it grows in proportion until something gives. The service's CPU is that of one call."""

_REQUESTS = """\
The same with `GET /healthz` and `Connection: close`: no connection is kept, so each request pays for its own."""

_NAMES = f"""\
The lab's name server in a process of its own, with that many Machines: once all of one app, once of an app each. Every
name is asked for once over UDP in a shuffled order, {names.WINDOW} questions under way: nothing is kept then, as after
every change of a Machine. Then again, turn after turn, for {names.ASK_SECONDS:g} s. Last all addresses of the one app
over TCP. Times are the server's processor time, answers/s those that one client saw."""

SUBJECTS = {
    "machines": Subject(
        "Machines", "Machines in one lab, 1 to 500", "Machines", _MACHINES,
        machines.COUNTS, machines.FIGURES, ("up_ms", "cpu_ms"), machines.measure,
    ),
    "hellos": Subject(
        "hellos", "Hellos in flight, 1 to 10,000", "callers", _HELLOS,
        load.COUNTS, load.FIGURES, ("p50_ms", "p99_ms"), load.hellos, is_callers=True,
    ),
    "requests": Subject(
        "requests", "Requests in flight, 1 to 10,000", "callers", _REQUESTS,
        load.COUNTS, load.FIGURES, ("p50_ms", "p99_ms"), load.requests, is_callers=True,
    ),
    "names": Subject(
        "names", "Names in DNS, 1 to 10,000", "names", _NAMES,
        names.COUNTS, names.FIGURES, ("machines_first_us", "machines_again_us"), names.measure,
    ),
}  # fmt: skip
