"""What a person reads of `names`: every answer, the addresses taken apart, the Machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.addresses import take_apart
from shell.answers import Answer, Outcome, RecordType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import JustifyMethod

    from shell.names.survey import Survey
    from shell.screen import Screen

    Columns = dict[str, JustifyMethod]

_NAMES: Columns = {"name": "left", "type": "left", "answer": "left", "TTL s": "right", "ms": "right"}
_ADDRESSES: Columns = {"address": "left", "what it is": "left", "network": "left", "host": "left", "machine": "left"}
_MACHINES: Columns = {"Machine": "left", "region": "left", "state": "left", "6PN address": "left"}
_MOST_SHOWN = 1000  # characters of a record: `_instances` of a large organisation fills screens


def show_survey(screen: Screen, survey: Survey) -> None:
    """Write what was found of one app or name."""
    servers = sorted({answer.server for answer in survey.answers if answer.server})
    title = f"{survey.subject}, asked {', '.join(servers) or 'nobody'}"
    screen.table(title, _NAMES, [row for answer in survey.answers for row in _name_rows(answer)])
    found = [answer for answer in survey.answers if answer.record_type is RecordType.AAAA]
    addresses = dict.fromkeys(take_apart(record) for answer in found for record in answer.records)
    if addresses:
        screen.table("addresses", _ADDRESSES, [(a.text, a.kind, a.network, a.host, a.machine) for a in addresses])
    if survey.machines:
        started = sum(row.started for row in survey.machines)
        screen.table(
            f"{survey.subject}: {started} started of {len(survey.machines)} deployed Machines",
            _MACHINES,
            [(m.machine_id, m.region, "started" if m.started else "asleep", m.private_ip) for m in survey.machines],
        )


def _name_rows(answer: Answer) -> Iterator[tuple[str, ...]]:
    ttl = "" if answer.ttl_seconds is None else str(answer.ttl_seconds)
    kind = f"{answer.record_type} over TCP" if answer.over_tcp else answer.record_type
    said = _lines_of(answer) if answer.outcome is Outcome.OK else answer.endings
    for n, text in enumerate(said):
        shown = _shortened(text)
        yield (answer.name, kind, shown, ttl, f"{answer.elapsed_ms:.1f}") if n == 0 else ("", "", shown)


def _lines_of(answer: Answer) -> tuple[str, ...]:
    """Return the records; `_instances` has a Machine after each semicolon."""
    if not answer.name.endswith("_instances.internal"):
        return answer.records
    return tuple(machine for record in answer.records for machine in record.split(";"))


def _shortened(text: str) -> str:
    left_out = len(text) - _MOST_SHOWN
    return text if left_out <= 0 else f"{text[:_MOST_SHOWN]} ... ({left_out} more characters: --json has all)"
