"""What a person reads of `wake`: each cold request, the spread of every kind, and where the time goes."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from rich.text import Text

from shell.phases import Protocols
from shell.wake.outcome import Kind
from shell.wake.parts import median_parts, parts_of

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
_PARTS: Columns = {"kind": "left", "median": "right", "platform": "right", "app": "right"}
_PARTS_WIDTH = 56
_PLATFORM, _APP, _WHOLE = "█", "▒", "░"  # different without colour, too


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
    legend = f": {_PLATFORM} platform {_APP} app {_WHOLE} not told apart" if width else ""
    columns: Columns = {**_PARTS, "": "left"} if width else _PARTS
    screen.table(f"where the median request's time goes{legend}", columns, list(_parts_rows(outcome, width)))


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
        parts = median_parts(outcome.counted(kind))
        bar = [_bar(width * median_ms / longest_ms, parts)] if width else []
        yield (kind, _ms(median_ms), *_shares(parts), *bar)


def _shares(parts: Parts | None) -> tuple[str, str]:
    if parts is None:
        return "", ""
    app_percent = round(parts.app_share * 100)
    return f"{_ms(parts.platform_ms)} ({100 - app_percent} %)", f"{_ms(parts.app_ms)} ({app_percent} %)"


def _bar(length: float, parts: Parts | None) -> Text:
    cells = max(round(length), 1)  # what was measured is never drawn as nothing
    if parts is None:
        return Text(_WHOLE * cells)
    app_cells = round(cells * parts.app_share)
    return Text.assemble((_PLATFORM * (cells - app_cells), "cyan"), (_APP * app_cells, "yellow"))


def _sentence(sample: Sample) -> str:
    claim = f"{sample.kind} {sample.judgement.proof}: {sample.judgement.why}"
    parts = parts_of(sample)
    if parts is None:
        return claim
    app = f"app {parts.app_ms:.0f} ms (boot)" if parts.app_ms else "app 0 ms (no boot)"
    return f"{claim}; {sample.timed.total_ms:.0f} ms = platform {parts.platform_ms:.0f} ms + {app}"


def _times(timed: Timed) -> tuple[float, ...]:
    return timed.resolve_ms, timed.connect_ms, timed.first_byte_ms, timed.total_ms


def _ms(time_ms: float) -> str:
    return f"{time_ms:.1f}"
