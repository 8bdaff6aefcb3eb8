"""Ask a nameserver all there is to know about an app, about one name, or about the organisation.

Rules
- An app is well when something was found of it and every question got an answer; sleep is no fault, so
  NODATA and, where another name of the app exists, NXDOMAIN are answers like others.
- Metadata, peers and process groups other than `app` are listed nowhere: they are asked for by their own name.
- Once a nameserver is silent, the other questions of that app are not asked: each would only wait again.
- Every nameserver of a private network knows `_apps.internal` (docs/fly.md, "DNS"). One that does not is not Fly's, and
  says nothing about whether an app exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shell.answers import Answer, ListedMachine, Outcome, RecordType, listed_machines, listed_words
from shell.names.grammar import APPS, ORGANISATION_NAMES, first_names, further_names, meaning_of, remark_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Ask = Callable[[str, RecordType], Answer]


ORGANISATION = "the organisation"  # no app has a name with a space
_ELSEWHERE = "run this on a shell Machine or over WireGuard, or name Fly's nameserver with --dns ADDR"


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

    @property
    def passed_over(self) -> tuple[str, ...]:
        """Say which nameservers did not tell where a later one did, and why; each reason once."""
        failures = (failure for answer in self.answers if answer.outcome.told for failure in answer.failures)
        return tuple(dict.fromkeys(f"{failure.server}: {failure}; the next one was asked" for failure in failures))


def survey(subject: str, ask: Ask) -> Survey:
    """Survey an app, or a name when `subject` contains a dot."""
    return _survey_name(subject, ask) if "." in subject else _survey_app(subject, ask)


def _survey_name(name: str, ask: Ask) -> Survey:
    answers = _ask_all(((name, record_type) for record_type in (RecordType.AAAA, RecordType.TXT)), ask)
    return Survey(name, answers, remark=remark_on(name), trouble=_failure_of(answers) or _absence_of(name, answers))


def survey_organisation(ask: Ask) -> Survey:
    """Survey what the organisation has: its apps, Machines, WireGuard peers and API."""
    answers = _ask_all(_typed(ORGANISATION_NAMES), ask)
    return Survey(ORGANISATION, answers, trouble=_failure_of(answers) or _stranger_in(answers))


def _survey_app(app_name: str, ask: Ask) -> Survey:
    """Ask for every name of an app: first the fixed ones, then those of its regions and Machines."""
    own = _ask_all(_typed(first_names(app_name)), ask)
    if own[-1].outcome.silent:
        return Survey(app_name, own, trouble=_failure_of(own))
    if absence := _absence_of(f"app {app_name}", own):
        apps = ask(APPS, RecordType.TXT)
        return Survey(app_name, (*own, apps), trouble=_stranger_in([apps]) or absence)
    by_name = {answer.name: answer for answer in own}
    deployed = listed_machines(by_name[f"all.vms.{app_name}.internal"])
    started = listed_machines(by_name[f"vms.{app_name}.internal"])
    regions = {machine.region for machine in deployed}
    for name in (f"regions.{app_name}.internal", f"all.regions.{app_name}.internal"):
        regions.update(listed_words(by_name[name]))
    further = further_names(app_name, sorted(regions), [machine.machine_id for machine in deployed])
    others = _ask_all(_typed(further), ask)
    answers = own + others
    machines = tuple(_row(machine, started, others, app_name) for machine in deployed)
    return Survey(app_name, answers, machines, trouble=_failure_of(answers))


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


def _failure_of(answers: Iterable[Answer]) -> str:
    """Return the first question that failed and how; "" when none did."""
    return next((str(answer) for answer in answers if not answer.outcome.told), "")


def _absence_of(subject: str, answers: Sequence[Answer]) -> str:
    """Say that the subject does not exist; "" when one of its names does."""
    if all(answer.outcome is Outcome.NXDOMAIN for answer in answers):
        return f"no {subject} in this private network: {Outcome.NXDOMAIN} from {answers[0].server}"
    return ""


def _stranger_in(answers: Iterable[Answer]) -> str:
    """Say that a nameserver is not Fly's; "" when all may be."""
    strangers = (answer for answer in answers if answer.name == APPS and answer.outcome is Outcome.NXDOMAIN)
    return next((f"{answer.server} is not a nameserver of a private network: {_ELSEWHERE}" for answer in strangers), "")
