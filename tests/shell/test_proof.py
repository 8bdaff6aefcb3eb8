from __future__ import annotations

import pytest

from shell.phases import Timed
from shell.proof import Proof, ServerTiming, judge_cold, judge_warm, read_server_timing


def timed(first_byte_ms: float, total_ms: float | None = None) -> Timed:
    return Timed("::1", 1.0, 1.0, first_byte_ms - 2.0, first_byte_ms if total_ms is None else total_ms)


@pytest.mark.parametrize(
    ("header", "boot_ms", "age_ms"),
    [
        ("boot;dur=120.5, age;dur=300", 120.5, 300.0),
        ("AGE ; desc=\"a, age;dur=1\" ; dur=7,boot;dur='x'", None, 7.0),
        ("boot;dur=nan, age;dur=-1", None, None),
        ("boot;dur=inf, age;dur=", None, None),
        ("age;dur=1, age;dur=2", None, 1.0),
        ("boot, age", None, None),
        ("db;dur=5", None, None),
        ("", None, None),
        (";;;,,,===", None, None),
    ],
)
def test_server_timing_is_read_or_counts_as_not_said(header: str, boot_ms: float | None, age_ms: float | None) -> None:
    assert read_server_timing(header) == ServerTiming(boot_ms, age_ms)


def test_a_process_younger_than_the_request_proves_cold_and_divides_the_time() -> None:
    judgement = judge_cold(ServerTiming(boot_ms=200, age_ms=250), timed(300, total_ms=310))
    assert judgement.proof is Proof.PROVEN
    assert (judgement.app_ms, judgement.platform_ms) == (200, 110)


@pytest.mark.parametrize("age_ms", [300.0, 5000.0])
def test_a_process_as_old_as_the_request_or_older_refutes_cold(age_ms: float) -> None:
    judgement = judge_cold(ServerTiming(200, age_ms), timed(300))
    assert judgement.proof is Proof.NOT_PROVEN
    assert "another caller woke it first, or a suspended Machine resumed" in judgement.why
    assert judgement.platform_ms is None


def test_a_slow_body_does_not_make_an_old_process_look_young() -> None:
    assert judge_cold(ServerTiming(200, 1000), timed(300, total_ms=9000)).proof is Proof.NOT_PROVEN


def test_without_age_cold_was_only_seen_in_dns() -> None:
    judgement = judge_cold(ServerTiming(boot_ms=200), timed(300))
    assert judgement.proof is Proof.SEEN_ASLEEP
    assert (judgement.app_ms, judgement.platform_ms) == (None, None)


def test_without_a_sensible_boot_cold_is_proven_but_not_divided() -> None:
    for boot_ms in (None, 999.0):
        judgement = judge_cold(ServerTiming(boot_ms, 250), timed(300))
        assert (judgement.proof, judgement.app_ms) == (Proof.PROVEN, None)


def test_warm_is_proven_by_a_process_older_than_the_request() -> None:
    assert judge_warm(ServerTiming(200, 5000), timed(3)).proof is Proof.PROVEN
    assert judge_warm(ServerTiming(200, 2), timed(3)).proof is Proof.NOT_PROVEN
    assert judge_warm(ServerTiming(), timed(3)).proof is Proof.UNTOLD
