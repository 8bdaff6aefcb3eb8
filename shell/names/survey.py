"""Ask a nameserver all there is to know about an app, or about one name.

Rules
- An app is well when something was found of it and every question got an answer; sleep is no fault, so
  NODATA and, where another name of the app exists, NXDOMAIN are answers like others.
- Metadata, peers and process groups other than `app` are listed nowhere: they are asked for by their own name.
- Once a nameserver is silent, the other questions of that app are not asked: each would only wait again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shell.answers import Answer, ListedMachine, Outcome, RecordType, listed_machines, listed_words
from shell.names.grammar import ORGANISATION_NAMES, first_names, further_names, meaning_of, remark_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Ask = Callable[[str, RecordType], Answer]


@dataclass(frozen=True, slots=True)
class MachineRow:
    """A deployed Machine; its 6PN address is known only while it is started."""

    machine_id: str
    region: str
    started: bool
    private_ip: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found; `machines` is empty when the subject is a name, `trouble` when all is well."""

    subject: str
    answers: tuple[Answer, ...]
    machines: tuple[MachineRow, ...] = ()
    remark: str = ""
    trouble: str = ""


def survey(subject: str, ask: Ask) -> Survey:
    """Survey an app, or a name when `subject` contains a dot."""
    return _survey_name(subject, ask) if "." in subject else _survey_app(subject, ask)


def _survey_name(name: str, ask: Ask) -> Survey:
    answers = _ask_all(((name, record_type) for record_type in (RecordType.AAAA, RecordType.TXT)), ask)
    return Survey(name, answers, remark=remark_on(name), trouble=_trouble(name, answers, answers))


def _survey_app(app_name: str, ask: Ask) -> Survey:
    """Ask for every name of an app: first the fixed ones, then those of its regions and Machines, then the others."""
    own = _ask_all(_typed(first_names(app_name)), ask)
    if own[-1].outcome.silent:
        return Survey(app_name, own, trouble=_trouble(f"app {app_name}", own, own))
    by_name = {answer.name: answer for answer in own}
    deployed = listed_machines(by_name[f"all.vms.{app_name}.internal"])
    started = listed_machines(by_name[f"vms.{app_name}.internal"])
    regions = {machine.region for machine in deployed}
    for name in (f"regions.{app_name}.internal", f"all.regions.{app_name}.internal"):
        regions.update(listed_words(by_name[name]))
    further = further_names(app_name, sorted(regions), [machine.machine_id for machine in deployed])
    others = _ask_all(_typed((*further, *ORGANISATION_NAMES)), ask)
    answers = own + others
    machines = tuple(_row(machine, started, others, app_name) for machine in deployed)
    return Survey(app_name, answers, machines, trouble=_trouble(f"app {app_name}", answers, own))


def _typed(names: Iterable[str]) -> Iterable[tuple[str, RecordType]]:
    return ((name, meaning_of(name)[0]) for name in names)


def _ask_all(questions: Iterable[tuple[str, RecordType]], ask: Ask) -> tuple[Answer, ...]:
    answers: list[Answer] = []
    for name, record_type in questions:
        answers.append(ask(name, record_type))
        if answers[-1].outcome.silent:
            break
    return tuple(answers)


def _row(
    machine: ListedMachine, started: tuple[ListedMachine, ...], answers: tuple[Answer, ...], app_name: str
) -> MachineRow:
    name = f"{machine.machine_id}.vm.{app_name}.internal"
    addresses = [record for answer in answers if answer.name == name for record in answer.records]
    is_started = machine.machine_id in {other.machine_id for other in started}
    return MachineRow(machine.machine_id, machine.region, is_started, next(iter(addresses), ""))


def _trouble(subject: str, answers: tuple[Answer, ...], own: tuple[Answer, ...]) -> str:
    failed = [answer for answer in answers if not answer.outcome.told]
    if failed:
        return str(failed[0])
    if all(answer.outcome is Outcome.NXDOMAIN for answer in own):
        return f"no {subject} in this private network: {Outcome.NXDOMAIN} from {own[0].server}"
    return ""
