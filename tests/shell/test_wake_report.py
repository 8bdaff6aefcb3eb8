from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from shell.http_reply import Reply
from shell.phases import Target, Timed
from shell.screen import Screen
from shell.wake.outcome import Cycle, Kind, Outcome, Sample
from shell.wake.plan import Plan
from shell.wake.proof import Asleep, ServerTiming, judge_cold, judge_warm
from shell.wake.report import show_wake
from tests.shell.terminal import Terminal

if TYPE_CHECKING:
    import pytest


def sample(kind: Kind, total_ms: float, boot_ms: float | None, age_ms: float | None, up_ms: float = 500) -> Sample:
    timed = Timed("::1", 1.0, 1.0, total_ms - 2.0, total_ms, Reply(200, (("X-Machine-Id", "d890"),)))
    timing = ServerTiming(boot_ms, age_ms)
    judgement = judge_cold(timing, timed, Asleep(up_ms)) if kind.wakes else judge_warm(timing, timed)
    return Sample(kind, timed, timing, judgement)


def shown(*samples: Sample, stream: io.StringIO | None = None, color: bool = False) -> str:
    stream = stream or io.StringIO()
    outcome = Outcome(Plan(Target("shop")), (Cycle(1.0, samples),))
    show_wake(Screen(stream, color=color), outcome)
    return stream.getvalue()


COLD = sample(Kind.COLD, 400, boot_ms=100, age_ms=200)
RESUMED = sample(Kind.RESUMED, 100, boot_ms=100, age_ms=9000)
WARM = [sample(Kind.WARM, total_ms, boot_ms=100, age_ms=9000) for total_ms in (3, 4, 9)]
KEPT = [sample(Kind.KEPT, total_ms, boot_ms=100, age_ms=9000) for total_ms in (2, 3)]


def test_cold_requests_have_a_row_each_and_the_others_share_one() -> None:
    text = shown(COLD, *WARM, *KEPT, RESUMED, *WARM, *KEPT)
    assert len(re.findall(r"^cold .* proven$", text, re.MULTILINE)) == 1
    assert len(re.findall(r"^resumed .* seen asleep in DNS before, not proven by the app$", text, re.MULTILINE)) == 1
    assert re.search(r"^warm median +1\.0 +1\.0 +2\.0 +4\.0$", text, re.MULTILINE)
    assert re.search(r"^kept median +- +- +0\.5 +2\.5$", text, re.MULTILINE)


def test_stop_suspend_warm_and_kept_are_side_by_side() -> None:
    text = shown(COLD, *WARM, *KEPT, RESUMED)
    assert (
        "cold and warm, total in ms (p90: nearest rank)\n"
        "kind     requests    min  median    p90    max\n"
        "cold            1  400.0   400.0  400.0  400.0\n"
        "resumed         1  100.0   100.0  100.0  100.0\n"
        "warm            3    3.0     4.0    9.0    9.0\n"
        "kept            2    2.0     2.5    3.0    3.0\n"
    ) in text


def test_a_cold_start_is_divided_into_what_was_measured() -> None:
    text = shown(COLD, RESUMED, *WARM)
    assert "400 ms = network 2 + platform 198 + boot 100 + answer 100 + body 0\n" in text
    assert "100 ms = network 2 + platform 98 + boot 0 + answer 0 + body 0\n" in text
    assert text.endswith(
        "where the median request's time goes, in ms\n"
        "kind     median  network  platform   boot  answer  body\n"
        "cold      400.0      2.0     198.0  100.0   100.0   0.0\n"
        "resumed   100.0      2.0      98.0    0.0     0.0   0.0\n"
        "warm        4.0\n\n"
    )


def test_on_a_terminal_bars_tell_the_parts_apart_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = shown(COLD, *WARM, stream=Terminal()).splitlines()[-5:]
    assert lines[0].endswith(": · network █ platform ▓ boot ▒ answer - body ░ not divided")
    assert lines[2].endswith("  " + "█" * 9 + "▓" * 5 + "▒" * 4)
    assert max(map(len, lines)) <= 80
    assert lines[3].endswith("  ░"), "what was measured is never drawn as nothing"


def test_a_refuted_warm_request_has_a_row_and_a_sentence_and_does_not_count() -> None:
    text = shown(COLD, sample(Kind.WARM, 500, boot_ms=100, age_ms=150))
    assert re.search(r"^warm .* 500\.0 .* not proven$", text, re.MULTILINE)
    assert (
        "warm not proven: the app's process is 150 ms old, younger than the request: this was a cold start too" in text
    )
    assert "warm median" not in text


def test_a_server_that_closes_every_connection_is_said_so() -> None:
    assert "nothing kept: the other side closes the connection after each response\n" in shown(COLD, *WARM)
    assert "nothing kept" not in shown(COLD, *WARM, *KEPT)


def test_without_a_word_from_the_app_nothing_is_divided() -> None:
    text = shown(sample(Kind.COLD, 400, None, None))
    assert "cold seen asleep in DNS before, not proven by the app: the response has no Server-Timing with age\n" in text
    assert text.endswith("kind  median  network  platform  boot  answer  body\ncold   400.0\n\n")
