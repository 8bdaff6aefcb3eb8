from __future__ import annotations

import random
from itertools import product

import pytest

from shell.phases import Timed
from shell.wake.parts import Parts
from shell.wake.plan import SleepMode
from shell.wake.proof import Asleep, Proof, ServerTiming, judge_cold, judge_warm, read_server_timing

UNKNOWN = Asleep()


def timed(first_byte_ms: float, total_ms: float | None = None) -> Timed:
    return Timed("::1", 0.0, 2.0, first_byte_ms - 2.0, first_byte_ms if total_ms is None else total_ms)


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
    judgement = judge_cold(ServerTiming(boot_ms=200, age_ms=250), timed(300, total_ms=310), UNKNOWN)
    assert judgement.proof is Proof.PROVEN
    assert judgement.parts == Parts(network_ms=2, platform_ms=48, boot_ms=200, answer_ms=50, body_ms=10)


@pytest.mark.parametrize("age_ms", [300.0, 5000.0])
def test_a_process_as_old_as_the_request_or_older_refutes_cold(age_ms: float) -> None:
    judgement = judge_cold(ServerTiming(200, age_ms), timed(300), UNKNOWN)
    assert judgement.proof is Proof.NOT_PROVEN
    assert "another caller woke it first, or a suspended Machine resumed" in judgement.why
    assert judgement.parts is None


def test_a_slow_body_does_not_make_an_old_process_look_young() -> None:
    assert judge_cold(ServerTiming(200, 1000), timed(300, total_ms=9000), UNKNOWN).proof is Proof.NOT_PROVEN


def test_without_age_cold_was_only_seen_in_dns() -> None:
    judgement = judge_cold(ServerTiming(boot_ms=200), timed(300), UNKNOWN)
    assert judgement.proof is Proof.SEEN_ASLEEP
    assert judgement.parts is None


def test_without_a_sensible_boot_cold_is_proven_but_not_divided() -> None:
    for boot_ms in (None, 999.0):
        judgement = judge_cold(ServerTiming(boot_ms, 250), timed(300), UNKNOWN)
        assert (judgement.proof, judgement.parts) == (Proof.PROVEN, None)


def test_the_time_since_a_resume_is_read_where_it_is_said() -> None:
    assert read_server_timing("boot;dur=1, age;dur=9000, resumed;dur=12.5") == ServerTiming(1, 9000, 12.5)


def test_a_resume_younger_than_the_request_proves_a_start_from_suspend() -> None:
    judgement = judge_cold(ServerTiming(200, 60_000, resumed_ms=40), timed(300, total_ms=310), UNKNOWN)
    assert (judgement.proof, judgement.woke_from) == (Proof.PROVEN, SleepMode.SUSPEND)
    assert judgement.parts == Parts(network_ms=2, platform_ms=258, boot_ms=0, answer_ms=40, body_ms=10)


@pytest.mark.parametrize("resumed_ms", [None, 7000.0], ids=["never resumed", "resumed in an earlier cycle"])
def test_a_process_older_than_the_last_sign_of_life_lived_through_the_sleep(resumed_ms: float | None) -> None:
    judgement = judge_cold(ServerTiming(200, 60_000, resumed_ms), timed(300), Asleep(up_ms=5000))
    assert (judgement.proof, judgement.woke_from) == (Proof.SEEN_ASLEEP, SleepMode.SUSPEND)
    assert "it was there before the sleep: a suspended Machine resumed" in judgement.why


def test_a_process_younger_than_the_last_sign_of_life_was_woken_by_another_caller() -> None:
    judgement = judge_cold(ServerTiming(200, 2000), timed(300), Asleep(up_ms=5000))
    assert (judgement.proof, judgement.woke_from) == (Proof.NOT_PROVEN, None)
    assert "last seen up 5300 ms ago: another caller woke it in between" in judgement.why


def test_a_resume_between_the_last_sign_of_life_and_the_request_was_for_another_caller() -> None:
    judgement = judge_cold(ServerTiming(200, 60_000, resumed_ms=2000), timed(300), Asleep(up_ms=5000))
    assert judgement.proof is Proof.NOT_PROVEN
    assert "its Machine resumed 2000 ms ago, the request is only 300 ms old" in judgement.why


def test_the_app_s_own_words_count_more_than_what_it_was_asked_to_do() -> None:
    judgement = judge_cold(ServerTiming(200, 250), timed(300), Asleep(mode=SleepMode.SUSPEND))
    assert (judgement.proof, judgement.woke_from) == (Proof.PROVEN, SleepMode.STOP)


@pytest.mark.parametrize("mode", [None, *SleepMode])
def test_without_age_a_start_is_from_the_sleep_that_was_asked_for(mode: SleepMode | None) -> None:
    judgement = judge_cold(ServerTiming(), timed(300), Asleep(up_ms=5000, mode=mode))
    assert (judgement.proof, judgement.woke_from) == (Proof.SEEN_ASLEEP, mode)


def test_every_order_of_age_resume_and_sign_of_life_has_one_judgement() -> None:
    """Ages in ms; the request took 300, and before, equal to and after are tried everywhere."""
    moments = (100.0, 300.0, 2000.0, 5300.0, 60_000.0)
    for age_ms, resumed_ms, up_ms in product(moments, (None, *moments), (None, 5000.0)):
        judgement = judge_cold(ServerTiming(50, age_ms, resumed_ms), timed(300), Asleep(up_ms))
        within = age_ms < 300 or (resumed_ms is not None and resumed_ms < 300)
        assert (judgement.proof is Proof.PROVEN) is within, (age_ms, resumed_ms, up_ms)
        assert (judgement.woke_from is None) is (judgement.proof is Proof.NOT_PROVEN), (age_ms, resumed_ms, up_ms)


def test_warm_is_proven_by_a_process_older_than_the_request() -> None:
    assert judge_warm(ServerTiming(200, 5000), timed(3)).proof is Proof.PROVEN
    assert judge_warm(ServerTiming(200, 2), timed(3)).proof is Proof.NOT_PROVEN
    assert judge_warm(ServerTiming(), timed(3)).proof is Proof.UNTOLD


def test_whatever_dns_does_a_machine_that_another_caller_woke_is_not_proven_cold() -> None:
    """Two hundred waits for DNS, with lost and repeated questions, in which another caller woke the Machine."""
    rng = random.Random(1210)  # noqa: S311 - not for secrets
    for _ in range(200):
        lost = rng.randrange(4)
        resolve_ms = rng.uniform(0, 1500) + 2000 * lost
        connect_ms, first_byte_ms = rng.uniform(0.1, 300), rng.uniform(0.1, 300)
        request = Timed("::1", resolve_ms, connect_ms, first_byte_ms, resolve_ms + connect_ms + first_byte_ms)
        age_ms = connect_ms + first_byte_ms + rng.uniform(0, resolve_ms)  # it began while DNS was asked
        judgement = judge_cold(ServerTiming(age_ms / 2, age_ms), request, Asleep(up_ms=5000))
        assert judgement.proof is Proof.NOT_PROVEN, (request, age_ms)
        assert judge_warm(ServerTiming(age_ms / 2, age_ms), request).proof is Proof.PROVEN


def test_the_parts_of_any_cold_request_are_not_negative_and_add_up_to_its_total() -> None:
    rng = random.Random(1211)  # noqa: S311 - not for secrets
    for _ in range(1000):
        resolve_ms, connect_ms, first_byte_ms, body_ms = (rng.uniform(0, 3000) for _ in range(4))
        request = Timed("::1", resolve_ms, connect_ms, first_byte_ms, resolve_ms + connect_ms + first_byte_ms + body_ms)
        age_ms = rng.uniform(0, request.since_connecting_ms)
        parts = judge_cold(ServerTiming(rng.uniform(0, age_ms), age_ms), request, UNKNOWN).parts
        assert parts is not None
        assert min(parts.ms) >= 0, (request, age_ms, parts)
        assert sum(parts.ms) == pytest.approx(request.total_ms)
        assert parts.network_ms == pytest.approx(resolve_ms + connect_ms), "DNS is not the platform's"
