"""What a person reads of `hello`: a row for each way and each thing heard on it."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from shell.hello.ways import Way

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import JustifyMethod

    from shell.hello.hear import End, Heard
    from shell.hello.ways import Door, Hearing
    from shell.screen import Screen

_COLUMNS: dict[str, JustifyMethod] = {
    "way": "left",
    "Machine": "left",
    "times": "right",
    "connect": "right",
    "first byte": "right",
    "slowest": "right",
    "said": "left",
    "end": "left",
}


def show_hearing(screen: Screen, hearing: Hearing) -> None:
    """Write what was heard; of several alike the middle and the slowest time, in ms."""
    rows = [*_heard_rows(hearing), *_asleep_rows(hearing)]
    if rows:
        plan = hearing.plan
        screen.table(f"{plan.app_name}, port {plan.port}, in ms", _COLUMNS, rows)
        for door in dict.fromkeys(hello.door for hello in hearing.hellos):
            screen.line(f"{door}: {door.address}")


def _heard_rows(hearing: Hearing) -> Iterator[tuple[str, ...]]:
    alike: dict[tuple[Door, str, End], list[Heard]] = {}
    for hello in hearing.hellos:
        alike.setdefault((hello.door, hello.heard.said, hello.heard.end), []).append(hello.heard)
    for (door, said, end), heard in alike.items():
        connects = [one.connect_ms for one in heard if one.connect_ms is not None]
        first_bytes = [one.first_byte_ms for one in heard if one.first_byte_ms is not None]
        times = (_ms(median(connects)) if connects else "", _ms(median(first_bytes)) if first_bytes else "")
        slowest = _ms(max(first_bytes)) if first_bytes else ""
        machine_id = door.machine.machine_id if door.machine else ""
        yield (door.way, machine_id, str(len(heard)), *times, slowest, f'"{said}"' if end.answered else "", end)


def _asleep_rows(hearing: Hearing) -> Iterator[tuple[str, ...]]:
    for machine in hearing.asleep:
        yield (Way.SIX_PN, machine.machine_id, "0", "", "", "", "", "asleep: not tried")


def _ms(time_ms: float) -> str:
    return f"{time_ms:.1f}"
