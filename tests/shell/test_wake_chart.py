from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from shell.http_reply import Reply
from shell.phases import Target, Timed
from shell.wake.chart import chart_of
from shell.wake.outcome import Cycle, Kind, Outcome, Sample
from shell.wake.parts import Parts
from shell.wake.plan import Plan, SleepMode
from shell.wake.proof import Judgement, Proof, ServerTiming
from shell.wake.scale import scale_for

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def sample(kind: Kind, total_ms: float, boot_ms: float | None = None, proof: Proof = Proof.PROVEN) -> Sample:
    parts = None if boot_ms is None else Parts(0, total_ms - boot_ms, boot_ms, 0, 0)
    timed = Timed("::1", 0, 0, total_ms, total_ms, Reply(200))
    return Sample(kind, timed, ServerTiming(), Judgement(proof, "", SleepMode.STOP, parts))


def drawn(*samples: Sample, path: str = "/") -> ET.Element:
    outcome = Outcome(Plan(Target("shop", path=path)), (Cycle(0.0, samples),))
    return ET.fromstring(chart_of(outcome, NOON))  # noqa: S314 - our own text


def texts(chart: ET.Element) -> list[str]:
    return [element.text or "" for element in chart.iter(f"{SVG}text")]


def bars(chart: ET.Element, kind: str) -> list[float]:
    """Return the widths of the parts of one sort that are as high as a bar."""
    rects = chart.iter(f"{SVG}rect")
    return [float(rect.get("width", "")) for rect in rects if (rect.get("class"), rect.get("height")) == (kind, "14")]


COLD = sample(Kind.COLD, 400, boot_ms=100)
RESUMED = sample(Kind.RESUMED, 100, boot_ms=0)
WARM = [sample(Kind.WARM, total_ms) for total_ms in (3, 4, 9)]


def test_the_title_names_the_app_the_sample_sizes_and_the_time() -> None:
    chart = drawn(COLD, RESUMED, *WARM, sample(Kind.KEPT, 1))
    title = chart.find(f"{SVG}title")
    assert title is not None
    measured = "1 cold, 1 resumed, 3 warm, 1 kept requests, 2026-11-20 12:00 UTC"
    assert title.text == f"shop: {measured}"
    assert texts(chart)[:3] == ["shop", measured, "http://shop.flycast/, timed by flycast-probe wake"]


def test_each_cold_request_is_a_bar_of_its_parts() -> None:
    chart = drawn(COLD, RESUMED)
    (cold_platform, resumed_platform), (cold_boot, resumed_boot) = bars(chart, "platform"), bars(chart, "boot")
    assert cold_platform == pytest.approx(3 * cold_boot, abs=0.3)
    assert cold_platform + cold_boot == pytest.approx(4 * resumed_platform, abs=0.5)
    assert resumed_boot == 0
    assert {"400 ms (300 + 100)", "100 ms (100 + 0)"} <= set(texts(chart))
    assert "not divided" not in texts(chart)


def test_a_start_nobody_divided_is_one_bar_and_the_legend_says_so() -> None:
    chart = drawn(sample(Kind.COLD, 400))
    assert bars(chart, "platform") == []
    assert len(bars(chart, "whole")) == 1
    assert "not divided" in texts(chart)


def test_warm_requests_are_dots_with_their_median_and_p90() -> None:
    chart = drawn(COLD, *WARM)
    assert len(list(chart.iter(f"{SVG}circle"))) == 3
    assert {"warm", "median 4.0, p90 9.0"} <= set(texts(chart))


def test_a_refuted_request_is_not_drawn() -> None:
    chart = drawn(COLD, sample(Kind.COLD, 7777, proof=Proof.NOT_PROVEN))
    assert not any("7777" in text for text in texts(chart))


def test_many_requests_stay_a_small_picture_that_says_what_is_missing() -> None:
    cold = [sample(Kind.COLD, 100 + n, boot_ms=50) for n in range(500)]
    warm = [sample(Kind.WARM, n / 1000) for n in range(20_000)]
    outcome = Outcome(Plan(Target("shop")), (Cycle(0.0, (*cold, *warm)),))
    assert len(chart_of(outcome, NOON)) < 100_000
    assert "waking, ms, the first 40 of 500" in texts(drawn(*cold))


def test_hostile_text_is_escaped() -> None:
    chart = drawn(COLD, path="/</text><script>alert(1)</script>&\x1b]")
    assert list(chart.iter(f"{SVG}script")) == []
    assert "</text><script>" in texts(chart)[2]


def test_nothing_is_fetched_and_nothing_leaves_the_picture() -> None:
    samples = (COLD, RESUMED, sample(Kind.COLD, 98_765.4, boot_ms=45_678.9), *WARM, *[sample(Kind.KEPT, 1234.5)] * 999)
    longest = Target("a" * 63, path="/" + "x" * 500)
    text = chart_of(Outcome(Plan(longest), (Cycle(0.0, samples),)), NOON)
    assert not re.search(r"href|url\(|@import|@font-face|<script|<image", text)
    assert "prefers-color-scheme: dark" in text
    for element in ET.fromstring(text).iter():  # noqa: S314 - our own text
        end = float(element.get("x", 0)) + float(element.get("width", 0))
        if element.tag == f"{SVG}text":
            end += (11.4 if element.get("class") == "title" else 7.4) * len(element.text or "")  # px, wide letters
        assert end <= 720, (element.tag, element.attrib, element.text)


@pytest.mark.parametrize("longest_ms", [0.0, 0.004, 0.3, 1.0, 4.9, 5.0, 5.1, 99.0, 376.0, 12_345.6, 9e7])
def test_a_scale_covers_its_longest_time_with_few_round_ticks(longest_ms: float) -> None:
    scale = scale_for(longest_ms, 400)
    assert scale.ticks_ms[0] == 0
    assert scale.ticks_ms[-1] == pytest.approx(scale.end_ms)
    assert 2 <= len(scale.ticks_ms) <= 6
    assert longest_ms <= scale.end_ms * 1.000001
    assert f"{scale.step_ms:e}"[0] in "125"
    assert 0 <= scale.place(longest_ms) <= 400
