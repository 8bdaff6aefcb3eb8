"""What a person reads: the tables of `names` and `wake`."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from rich.text import Text

from shell.addresses import take_apart
from shell.answers import Answer, Outcome, RecordType
from shell.wake import Kind, Sample
from shell.wake import Outcome as WakeOutcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import JustifyMethod

    from shell.phases import Timed
    from shell.screen import Screen
    from shell.survey import Survey

    Columns = dict[str, JustifyMethod]

_NAMES: Columns = {"name": "left", "type": "left", "answer": "left", "TTL s": "right", "ms": "right"}
_ADDRESSES: Columns = {"address": "left", "what it is": "left", "network": "left", "host": "left", "machine": "left"}
_MACHINES: Columns = {"Machine": "left", "region": "left", "state": "left", "6PN address": "left"}
_REQUESTS: Columns = {
    "request": "left",
    "resolve": "right",
    "connect": "right",
    "first byte": "right",
    "total": "right",
    "status": "right",
    "Machine": "left",
    "proof": "left",
}
_COLD_AND_WARM: Columns = {
    "kind": "left",
    "requests": "right",
    "min": "right",
    "median": "right",
    "max": "right",
    "platform": "right",
    "app": "right",
}
_COLD_AND_WARM_WIDTH = 62
_PLATFORM, _APP = "█", "▒"  # different without colour, too


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


def show_wake(screen: Screen, outcome: WakeOutcome) -> None:
    """Write the times of a run: cold requests one by one, warm ones together, then both side by side."""
    if not outcome.samples:
        return
    single = [sample for sample in outcome.samples if sample.kind is Kind.COLD or sample.refuted]
    rows = [*(_request_row(sample) for sample in single), *_warm_rows(outcome.counted(Kind.WARM))]
    screen.table(f"{outcome.plan.target} [{outcome.samples[0].timed.address}], in ms", _REQUESTS, rows)
    for sample in single:
        screen.line(_sentence(sample))
    screen.line()
    width = screen.bar_width(_COLD_AND_WARM_WIDTH)
    columns: Columns = {**_COLD_AND_WARM, f"{_PLATFORM} platform {_APP} app": "left"} if width else _COLD_AND_WARM
    screen.table("cold and warm, total in ms", columns, list(_cold_and_warm_rows(outcome, width)))


def _name_rows(answer: Answer) -> Iterator[tuple[str, ...]]:
    ttl = "" if answer.ttl_seconds is None else str(answer.ttl_seconds)
    kind = f"{answer.record_type} over TCP" if answer.over_tcp else answer.record_type
    said = answer.records if answer.outcome is Outcome.OK else (answer.outcome,)
    for n, text in enumerate(said):
        yield (answer.name, kind, text, ttl, f"{answer.elapsed_ms:.1f}") if n == 0 else ("", "", text)


def _request_row(sample: Sample) -> tuple[str, ...]:
    status = str(sample.timed.reply.status) if sample.timed.reply else "-"
    times = (_ms(time_ms) for time_ms in _times(sample.timed))
    return (sample.kind, *times, status, sample.machine_id, sample.judgement.proof)


def _warm_rows(warm: tuple[Sample, ...]) -> Iterator[tuple[str, ...]]:
    phases = list(zip(*(_times(sample.timed) for sample in warm), strict=True))
    for name, summary in (("min", min), ("median", median), ("max", max)) if warm else ():
        yield (f"warm {name}", *(_ms(summary(times)) for times in phases))


def _cold_and_warm_rows(outcome: WakeOutcome, width: int) -> Iterator[tuple[str | Text, ...]]:
    spreads = {kind: outcome.spread(kind) for kind in Kind}
    longest_ms = max((spread.median_ms for spread in spreads.values() if spread), default=0.0)
    for kind, spread in spreads.items():
        if spread is None:
            continue
        parts = [sample.judgement for sample in outcome.counted(kind)]
        app_ms = [part.app_ms for part in parts if part.app_ms is not None]
        platform_ms = [part.platform_ms for part in parts if part.platform_ms is not None]
        times = (_ms(spread.min_ms), _ms(spread.median_ms), _ms(spread.max_ms))
        split = (_ms(median(platform_ms)), _ms(median(app_ms))) if app_ms and platform_ms else ("", "")
        app_share = median(app_ms) / spread.median_ms if app_ms else 0.0
        yield (kind, str(spread.count), *times, *split, _bar(width * spread.median_ms / (longest_ms or 1), app_share))


def _bar(length: float, app_share: float) -> Text:
    cells = max(round(length), 1) if length else 0  # what was measured is never drawn as nothing
    app_cells = round(cells * min(app_share, 1.0))
    return Text.assemble((_PLATFORM * (cells - app_cells), "cyan"), (_APP * app_cells, "yellow"))


def _sentence(sample: Sample) -> str:
    judgement = sample.judgement
    claim = f"{sample.kind} {judgement.proof}: {judgement.why}"
    if judgement.app_ms is None or judgement.platform_ms is None:
        return claim
    return (
        f"{claim}; {sample.timed.total_ms:.0f} ms = platform {judgement.platform_ms:.0f} ms "
        f"+ app {judgement.app_ms:.0f} ms (boot)"
    )


def _times(timed: Timed) -> tuple[float, ...]:
    return timed.resolve_ms, timed.connect_ms, timed.first_byte_ms, timed.total_ms


def _ms(time_ms: float) -> str:
    return f"{time_ms:.1f}"
