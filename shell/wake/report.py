"""What a person reads of `wake`: each cold request, the spread of every kind, and where the time goes."""

from __future__ import annotations

from itertools import accumulate, pairwise
from statistics import median
from typing import TYPE_CHECKING

from rich.text import Text

from shell.phases import Protocols
from shell.wake.outcome import Kind
from shell.wake.parts import NAMES, median_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import JustifyMethod

    from shell.phases import Timed
    from shell.screen import Screen
    from shell.wake.outcome import Outcome, Sample
    from shell.wake.parts import Parts

    Columns = dict[str, JustifyMethod]

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
_SPREADS: Columns = {
    "kind": "left",
    "requests": "right",
    "min": "right",
    "median": "right",
    "p90": "right",
    "max": "right",
}
_PARTS: Columns = {"kind": "left", "median": "right", **dict.fromkeys(NAMES, "right")}
_PARTS_WIDTH = 62
_CELLS = {
    "network": ("·", ""),
    "platform": ("█", "cyan"),
    "boot": ("▓", "yellow"),
    "answer": ("▒", "green"),
    "body": ("-", ""),
}
_WHOLE = "░"  # all of them different without colour, too


def show_wake(screen: Screen, outcome: Outcome) -> None:
    """Write the times of a run: cold requests one by one, then all kinds side by side, then their parts."""
    if not outcome.samples:
        return
    single = [sample for sample in outcome.samples if sample.kind.wakes or sample.refuted]
    rows = [*(_request_row(sample) for sample in single), *_median_rows(outcome)]
    screen.table(f"{outcome.plan.target} [{outcome.samples[0].timed.address}], in ms", _REQUESTS, rows)
    for sample in single:
        screen.line(_sentence(sample))
    if outcome.counted(Kind.WARM) and not outcome.counted(Kind.KEPT) and outcome.plan.target.protocol is Protocols.HTTP:
        screen.line("nothing kept: the other side closes the connection after each response")
    screen.line()
    screen.table("cold and warm, total in ms (p90: nearest rank)", _SPREADS, list(_spread_rows(outcome)))
    width = screen.bar_width(_PARTS_WIDTH)
    shown = " ".join(f"{cell} {name}" for name, (cell, _) in _CELLS.items())
    title = (
        f"the median in ms: {shown} {_WHOLE} not divided" if width else "where the median request's time goes, in ms"
    )
    columns: Columns = {**_PARTS, "": "left"} if width else _PARTS
    screen.table(title, columns, list(_parts_rows(outcome, width)))


def _request_row(sample: Sample) -> tuple[str, ...]:
    status = str(sample.timed.reply.status) if sample.timed.reply else "-"
    times = (_ms(time_ms) for time_ms in _times(sample.timed))
    return (sample.kind, *times, status, sample.machine_id, sample.judgement.proof)


def _median_rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    for kind in (Kind.WARM, Kind.KEPT):
        phases = list(zip(*(_times(sample.timed) for sample in outcome.counted(kind)), strict=True))
        if phases:
            times = [_ms(median(times_ms)) for times_ms in phases]
            yield (f"{kind} median", *(("-", "-", *times[2:]) if kind is Kind.KEPT else times))


def _spread_rows(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    for kind in Kind:
        if spread := outcome.spread(kind):
            times_ms = (spread.min_ms, spread.median_ms, spread.p90_ms, spread.max_ms)
            yield (kind, str(spread.count), *(_ms(time_ms) for time_ms in times_ms))


def _parts_rows(outcome: Outcome, width: int) -> Iterator[tuple[str | Text, ...]]:
    medians_ms = {kind: spread.median_ms for kind in Kind if (spread := outcome.spread(kind))}
    longest_ms = max(medians_ms.values(), default=0.0) or 1.0
    for kind, median_ms in medians_ms.items():
        parts = median_parts([it.judgement.parts for it in outcome.counted(kind) if it.judgement.parts])
        bar = [_bar(width * median_ms / longest_ms, parts)] if width else []
        yield (kind, _ms(median_ms), *(map(_ms, parts.ms) if parts else [""] * len(NAMES)), *bar)


def _bar(length: float, parts: Parts | None) -> Text:
    cells = max(round(length), 1)  # what was measured is never drawn as nothing
    if parts is None:
        return Text(_WHOLE * cells)
    whole_ms = sum(parts.ms) or 1.0
    ends = [round(cells * end_ms / whole_ms) for end_ms in accumulate(parts.ms, initial=0.0)]
    lengths = (end - begin for begin, end in pairwise(ends))
    return Text.assemble(
        *((cell * length, style) for (cell, style), length in zip(_CELLS.values(), lengths, strict=True))
    )


def _sentence(sample: Sample) -> str:
    claim = f"{sample.kind} {sample.judgement.proof}: {sample.judgement.why}"
    parts = sample.judgement.parts
    if parts is None:
        return claim
    summed = " + ".join(f"{name} {ms:.0f}" for name, ms in zip(NAMES, parts.ms, strict=True))
    return f"{claim}; {sample.timed.total_ms:.0f} ms = {summed}"


def _times(timed: Timed) -> tuple[float, ...]:
    return timed.resolve_ms, timed.connect_ms, timed.first_byte_ms, timed.total_ms


def _ms(time_ms: float) -> str:
    return f"{time_ms:.1f}"
