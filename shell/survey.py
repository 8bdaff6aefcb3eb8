"""Ask a nameserver all there is to know about an app, or about one name.

Rules
- An app is well when something was found of it and every question got an answer; sleep is no fault, so
  NODATA and, for one Machine or region, NXDOMAIN are answers like others.
- Once a nameserver is silent, the other questions of that app are not asked: each would only wait again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shell.answers import Answer, ListedMachine, Outcome, RecordType, listed_machines, listed_words
from shell.asleep import no_word
from shell.names import Question, first_questions, further_questions, meaning_of, remark_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Ask = Callable[[str, RecordType], Answer]


@dataclass(frozen=True, slots=True)
class Finding:
    """A question and its answer."""

    question: Question
    answer: Answer


@dataclass(frozen=True, slots=True)
class MachineRow:
    """A deployed Machine; its 6PN address is known only while it is started."""

    machine: ListedMachine
    started: bool
    private_ip: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found; `machines` is empty when the subject is a name, `trouble` when all is well."""

    subject: str
    findings: tuple[Finding, ...]
    machines: tuple[MachineRow, ...] = ()
    remark: str = ""
    trouble: str = ""


def survey(subject: str, ask: Ask) -> Survey:
    """Survey an app, or a name when `subject` contains a dot."""
    return survey_name(subject, ask) if "." in subject else survey_app(subject, ask)


def survey_name(name: str, ask: Ask) -> Survey:
    """Ask for both types of one name."""
    known = meaning_of(name)
    meaning = known[1] if known else ""
    findings = _ask_all((Question(name, record_type, meaning) for record_type in RecordType), ask)
    return Survey(name, findings, remark=remark_on(name), trouble=_trouble(name, findings, findings))


def survey_app(app_name: str, ask: Ask) -> Survey:
    """Ask for every name of an app: first the fixed ones, then those of its regions and Machines."""
    findings = _ask_all(first_questions(app_name), ask)
    answers = {finding.question.name: finding.answer for finding in findings}
    deployed = _machines(answers, f"all.vms.{app_name}.internal")
    started = _machines(answers, f"vms.{app_name}.internal")
    if not any(finding.answer.outcome.silent for finding in findings):
        regions = {machine.region for machine in deployed if machine.region}
        regions.update(_words(answers, f"regions.{app_name}.internal"))
        regions.update(_words(answers, f"all.regions.{app_name}.internal"))
        machine_ids = [machine.machine_id for machine in deployed]
        findings += _ask_all(further_questions(app_name, sorted(regions), machine_ids), ask)
    own = tuple(finding for finding in findings if app_name in finding.question.name.split("."))
    return Survey(
        app_name,
        findings,
        tuple(_row(machine, started, findings, app_name) for machine in deployed),
        trouble=_trouble(f"app {app_name}", findings, own),
    )


def _ask_all(questions: Iterable[Question], ask: Ask) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    for question in questions:
        findings.append(Finding(question, ask(question.name, question.record_type)))
        if findings[-1].answer.outcome.silent:
            break
    return tuple(findings)


def _machines(answers: dict[str, Answer], name: str) -> tuple[ListedMachine, ...]:
    return listed_machines(answers[name]) if name in answers else ()


def _words(answers: dict[str, Answer], name: str) -> tuple[str, ...]:
    return listed_words(answers[name]) if name in answers else ()


def _row(
    machine: ListedMachine, started: tuple[ListedMachine, ...], findings: tuple[Finding, ...], app_name: str
) -> MachineRow:
    name = f"{machine.machine_id}.vm.{app_name}.internal"
    addresses = [record for finding in findings if finding.question.name == name for record in finding.answer.records]
    is_started = machine.machine_id in {other.machine_id for other in started}
    return MachineRow(machine, is_started, addresses[0] if addresses else "")


def _trouble(subject: str, findings: tuple[Finding, ...], own: tuple[Finding, ...]) -> str:
    failed = [finding.answer for finding in findings if not finding.answer.outcome.told]
    if failed:
        return no_word(failed[0])
    if all(finding.answer.outcome is Outcome.NXDOMAIN for finding in own):
        server = own[0].answer.server
        return f"no {subject} in this private network: {Outcome.NXDOMAIN} from {server}"
    return ""
