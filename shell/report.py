"""What a person reads: the tables of `names` and `wake`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.addresses import take_apart
from shell.answers import Answer, Outcome, RecordType
from shell.proof import Proof
from shell.screen import Bar, Column, Screen, Table
from shell.spread import Spread, spread_of
from shell.wake import Kind, Sample
from shell.wake import Outcome as WakeOutcome

if TYPE_CHECKING:
    from shell.survey import Finding, Survey

_NAME_COLUMNS = (
    Column("name"),
    Column("type"),
    Column("answer"),
    Column("what it is"),
    Column("TTL s", numeric=True),
    Column("ms", numeric=True),
    Column("server"),
)
_MACHINE_COLUMNS = (Column("Machine"), Column("region"), Column("state"), Column("6PN address"))
_TIME_COLUMNS = (
    Column("request"),
    Column("resolve ms", numeric=True),
    Column("connect ms", numeric=True),
    Column("first byte ms", numeric=True),
    Column("total ms", numeric=True),
    Column("status", numeric=True),
    Column("Machine"),
    Column("proof"),
)
_SPREAD_COLUMNS = (
    Column("total"),
    Column("requests", numeric=True),
    Column("min ms", numeric=True),
    Column("median ms", numeric=True),
    Column("max ms", numeric=True),
)
_STYLES = {Kind.COLD: "cyan", Kind.WARM: "green"}


def show_survey(screen: Screen, survey: Survey) -> None:
    """Write what was found of one app or name."""
    rows = tuple(row for finding in survey.findings for row in _rows_of(finding))
    screen.table(Table(survey.subject, _NAME_COLUMNS, rows))
    if survey.machines:
        started = sum(row.started for row in survey.machines)
        title = f"{survey.subject}: {started} started of {len(survey.machines)} deployed Machines"
        machines = tuple(
            (row.machine.machine_id, row.machine.region, "started" if row.started else "asleep", row.private_ip)
            for row in survey.machines
        )
        screen.table(Table(title, _MACHINE_COLUMNS, machines))


def show_wake(screen: Screen, outcome: WakeOutcome) -> None:
    """Write the times of a run: every request, then the cold starts divided, then the spread."""
    if not outcome.samples:
        return
    largest = max(sample.timed.total_ms for sample in outcome.samples)
    title = f"{outcome.plan.target} [{outcome.samples[0].timed.address}]"
    rows = tuple(_time_row(sample) for sample in outcome.samples)
    bars = tuple(
        Bar(sample.timed.total_ms / largest if largest else 0.0, _STYLES[sample.kind]) for sample in outcome.samples
    )
    screen.table(Table(title, _TIME_COLUMNS, rows, bars))
    for sample in outcome.samples:
        if sample.kind is Kind.COLD or sample.judgement.proof is Proof.NOT_PROVEN:
            screen.line(_sentence(sample))
    screen.line()
    spreads = ((kind, spread_of(cold_or_warm_ms(outcome, kind))) for kind in Kind)
    spread_rows = tuple(_spread_row(kind, spread) for kind, spread in spreads if spread)
    screen.table(Table("cold and warm", _SPREAD_COLUMNS, spread_rows))


def cold_or_warm_ms(outcome: WakeOutcome, kind: Kind) -> tuple[float, ...]:
    """Return the totals of one kind, without the requests that are refuted to be of it."""
    return tuple(
        sample.timed.total_ms
        for sample in outcome.samples
        if sample.kind is kind and sample.judgement.proof is not Proof.NOT_PROVEN
    )


def _rows_of(finding: Finding) -> list[tuple[str, ...]]:
    answer = finding.answer
    ttl = "" if answer.ttl_seconds is None else str(answer.ttl_seconds)
    server = f"{answer.server} (TCP)" if answer.over_tcp else answer.server
    rest = (ttl, f"{answer.elapsed_ms:.1f}", server)
    if answer.outcome is not Outcome.OK:
        return [(answer.name, answer.record_type, "-", answer.outcome, *rest)]
    rows: list[tuple[str, ...]] = []
    for n, record in enumerate(answer.records):
        head = (answer.name, answer.record_type) if n == 0 else ("", "")
        rows.append((*head, record, _what_it_is(answer, record, finding.question.meaning), *rest))
        rest = ("", "", "")
    return rows


def _what_it_is(answer: Answer, record: str, meaning: str) -> str:
    return str(take_apart(record)) if answer.record_type is RecordType.AAAA else meaning


def _time_row(sample: Sample) -> tuple[str, ...]:
    timed = sample.timed
    times = (timed.resolve_ms, timed.connect_ms, timed.first_byte_ms, timed.total_ms)
    status = str(timed.reply.status) if timed.reply else "-"
    return (
        sample.kind,
        *(f"{time_ms:.1f}" for time_ms in times),
        status,
        sample.machine_id,
        sample.judgement.proof,
    )


def _sentence(sample: Sample) -> str:
    judgement = sample.judgement
    claim = f"{sample.kind} {judgement.proof}: {judgement.why}"
    if judgement.app_ms is None or judgement.platform_ms is None:
        return claim
    return (
        f"{claim}; {sample.timed.total_ms:.0f} ms = platform {judgement.platform_ms:.0f} ms "
        f"+ app {judgement.app_ms:.0f} ms (boot)"
    )


def _spread_row(kind: Kind, spread: Spread) -> tuple[str, ...]:
    return (
        kind,
        str(spread.count),
        f"{spread.min_ms:.1f}",
        f"{spread.median_ms:.1f}",
        f"{spread.max_ms:.1f}",
    )
