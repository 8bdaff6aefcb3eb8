from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from shell.http_reply import Reply
from shell.phases import Target, Timed
from shell.proof import ServerTiming, judge_cold, judge_warm
from shell.report import show_wake
from shell.screen import Screen
from shell.wake import Cycle, Kind, Outcome, Plan, Sample
from tests.shell.terminal import Terminal

if TYPE_CHECKING:
    import pytest


def sample(kind: Kind, total_ms: float, boot_ms: float | None, age_ms: float | None) -> Sample:
    timed = Timed("::1", 1.0, 1.0, total_ms - 2.0, total_ms, Reply(200, (("X-Machine-Id", "d890"),)))
    timing = ServerTiming(boot_ms, age_ms)
    return Sample(kind, timed, timing, (judge_cold if kind is Kind.COLD else judge_warm)(timing, timed))


def shown(*samples: Sample, stream: io.StringIO | None = None, color: bool = False) -> str:
    stream = stream or io.StringIO()
    outcome = Outcome(Plan(Target("shop")), (Cycle(1.0, samples),))
    show_wake(Screen(stream, color=color), outcome)
    return stream.getvalue()


COLD = sample(Kind.COLD, 400, boot_ms=100, age_ms=200)
WARM = [sample(Kind.WARM, total_ms, boot_ms=100, age_ms=9000) for total_ms in (3, 4, 9)]


def test_cold_requests_have_a_row_each_and_warm_ones_share_three() -> None:
    text = shown(COLD, *WARM, COLD, *WARM)
    assert len(re.findall(r"^cold .* proven$", text, re.MULTILINE)) == 2
    assert text.count("cold proven") == 2
    assert re.findall(r"^warm (\w+ +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+)$", text, re.MULTILINE) == [
        "min         1.0      1.0         1.0    3.0",
        "median      1.0      1.0         2.0    4.0",
        "max         1.0      1.0         7.0    9.0",
    ]


def test_a_cold_start_is_divided_between_platform_and_app() -> None:
    text = shown(COLD, *WARM)
    assert "400 ms = platform 300 ms + app 100 ms (boot)" in text
    assert text.endswith(
        "cold and warm, total in ms\n"
        "kind  requests    min  median    max  platform    app\n"
        "cold         1  400.0   400.0  400.0     300.0  100.0\n"
        "warm         3    3.0     4.0    9.0\n\n"
    )


def test_on_a_terminal_bars_tell_the_parts_apart_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = shown(COLD, *WARM, stream=Terminal()).splitlines()[-3:]
    assert lines[0].endswith("  " + "█" * 18 + "▒" * 6)
    assert lines[1].endswith("  █"), "what was measured is never drawn as nothing"


def test_a_refuted_warm_request_has_a_row_and_a_sentence_and_does_not_count() -> None:
    text = shown(COLD, sample(Kind.WARM, 500, boot_ms=100, age_ms=150))
    assert re.search(r"^warm .* 500\.0 .* not proven$", text, re.MULTILINE)
    assert (
        "warm not proven: the app's process is 150 ms old, younger than the request: this was a cold start too" in text
    )
    assert "warm min" not in text


def test_without_a_word_from_the_app_nothing_is_divided() -> None:
    text = shown(sample(Kind.COLD, 400, None, None))
    assert "cold seen asleep in DNS before, not proven by the app: the response has no Server-Timing with age\n" in text
    assert re.search(r"^cold +1( +400\.0){3}$", text, re.MULTILINE)
