from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shell.answers import Answer, Outcome, RecordType
from shell.http_reply import Reply
from shell.phases import Edge, Protocols, Target, Timed, open_connection
from shell.progress import Progress
from shell.wake.outcome import Cycle, Kind, Sample
from shell.wake.outcome import Outcome as WakeOutcome
from shell.wake.plan import Plan
from shell.wake.proof import Proof, ServerTiming, judge_warm
from shell.wake.run import run, trouble_in
from shell.wake.spread import Spread, spread_of
from tests.shell.scripted_http import ScriptedServer, answering, closing, hold, keeping, timing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

COLD = answering(headers=timing(boot_ms=10, age_ms=20), before_seconds=0.08)
WARM = answering(headers=timing(boot_ms=10, age_ms=60_000))
BARE = answering()


def network(*vms: str, deployed: str = "d890 ams") -> Callable[[str, RecordType], Answer]:
    """Answer for one app; each look at `vms` gets the next text, the last one for ever."""
    left = list(vms)

    def ask(name: str, kind: RecordType) -> Answer:
        if kind is RecordType.AAAA:
            return Answer(name, kind, Outcome.OK, ("::1",), 5)
        text = deployed if name.startswith("all.") else left.pop(0) if len(left) > 1 else left[0]
        return Answer(name, kind, Outcome.OK if text else Outcome.NODATA, (text,) if text else ())

    return ask


def wake(
    server: ScriptedServer,
    stream: io.StringIO | None = None,
    *,
    ask: Callable[[str, RecordType], Answer] | None = None,
    plan: Plan | None = None,
) -> WakeOutcome:
    plan = plan or Plan(Target("shop"), warm_count=2)
    aimed = replace(plan, target=replace(plan.target, port=server.port))
    edge = Edge(ask or network(""), open_connection)
    return run(aimed, edge, lambda _: None, Progress(stream or io.StringIO(), "xterm"))


def proofs(outcome: WakeOutcome) -> list[tuple[Kind, Proof]]:
    return [(sample.kind, sample.judgement.proof) for sample in outcome.samples]


def test_a_cold_start_is_proven_divided_and_followed_by_warm_requests() -> None:
    with ScriptedServer(COLD, WARM) as server:
        outcome = wake(server)
    assert outcome.error == ""
    assert outcome.well
    assert proofs(outcome) == [(Kind.COLD, Proof.PROVEN), (Kind.WARM, Proof.PROVEN), (Kind.WARM, Proof.PROVEN)]
    cold = outcome.samples[0]
    parts = cold.judgement.parts
    assert parts is not None
    assert parts.boot_ms == 10
    assert parts.platform_ms == pytest.approx(cold.timed.first_byte_ms - 20)
    assert sum(parts.ms) == pytest.approx(cold.timed.total_ms)
    assert cold.machine_id == "d890"


def test_a_process_older_than_the_request_is_not_called_cold() -> None:
    with ScriptedServer(WARM) as server:
        outcome = wake(server)
    assert outcome.samples[0].judgement.proof is Proof.NOT_PROVEN
    assert not outcome.well
    assert outcome.spread(Kind.COLD) is None, "a refuted request must not count as a cold time"
    why = outcome.samples[0].judgement.why
    assert "Machine d890 answered; DNS now: 0 of 1 Machines up" in why
    assert why.endswith("`fly logs -a shop` shows who called")


def test_an_app_without_server_timing_was_seen_asleep_and_no_more() -> None:
    with ScriptedServer(BARE) as server:
        outcome = wake(server)
    assert outcome.well
    assert [proof for _, proof in proofs(outcome)] == [Proof.SEEN_ASLEEP, Proof.UNTOLD, Proof.UNTOLD]


def test_a_warm_request_that_met_another_new_machine_is_not_called_warm() -> None:
    with ScriptedServer(COLD, COLD, WARM) as server:
        outcome = wake(server)
    assert [proof for _, proof in proofs(outcome)] == [Proof.PROVEN, Proof.NOT_PROVEN, Proof.PROVEN]
    assert len(outcome.counted(Kind.WARM)) == 1


def test_every_cycle_waits_for_sleep() -> None:
    looks = ("d890 ams", "", "d890 ams", "d890 ams", "")
    with ScriptedServer(COLD, COLD, COLD) as server:
        outcome = wake(server, ask=network(*looks), plan=Plan(Target("shop"), cycles=2, warm_count=0))
    assert len(outcome.cycles) == 2
    assert outcome.well
    assert len(outcome.counted(Kind.COLD)) == 2


def test_lagging_dns_does_not_fake_sleep_after_a_cold_request() -> None:
    asked: list[str] = []
    answer = network("", "", "", "d890 ams", "d890 ams", "")

    def ask(name: str, kind: RecordType) -> Answer:
        said = answer(name, kind)
        if not name.startswith("all."):
            asked.append("connect" if kind is RecordType.AAAA else "up" if said.records else "asleep")
        return said

    with ScriptedServer(COLD) as server:
        wake(server, ask=ask, plan=Plan(Target("shop"), cycles=2, warm_count=0))
    assert asked == ["asleep", "connect", "asleep", "asleep", "up", "up", "asleep", "connect"]


def test_raw_tcp_is_cold_by_dns_only() -> None:
    def banner(connection: socket.socket) -> None:
        connection.sendall(b"hello\n")
        hold(0.02)

    plan = Plan(Target("shop", Protocols.TCP), warm_count=1)
    with ScriptedServer(banner) as server:
        outcome = wake(server, plan=plan)
    assert [proof for _, proof in proofs(outcome)] == [Proof.SEEN_ASLEEP, Proof.UNTOLD]


def test_what_was_measured_before_a_failure_is_kept() -> None:
    with ScriptedServer(COLD, WARM, closing) as server:
        outcome = wake(server)
    assert "empty reply" in outcome.error
    assert len(outcome.samples) == 2
    assert not outcome.well


def test_503_ends_the_run_with_its_reason() -> None:
    with ScriptedServer(answering(status="503 Service Unavailable")) as server:
        outcome = wake(server)
    assert "503 unavailable: no Machine could be started or reached in time" in outcome.error
    assert outcome.samples == ()


@pytest.mark.parametrize(
    ("status", "location", "words"),
    [
        (301, "https://shop.flycast/", "force_https is on"),
        (308, "HTTPS://shop.flycast/", "force_https is on"),
        (302, "/login", ""),
        (503, "", "503 unavailable"),
        (502, "", "502: the app or the proxy failed"),
        (200, "", ""),
        (401, "", ""),
        (404, "", ""),
    ],
)
def test_only_answers_of_a_working_app_count(status: int, location: str, words: str) -> None:
    trouble = trouble_in(Reply(status, (("location", location),)))
    assert trouble.find(words) >= 0
    assert bool(trouble) is bool(words)


def test_kept_requests_share_a_connection_that_has_answered_before() -> None:
    with ScriptedServer(COLD, WARM, WARM, keeping(timing(10, 60_000))) as server:
        outcome = wake(server)
        assert len(server.accepted_at) == 4
    kept = outcome.counted(Kind.KEPT)
    assert [(sample.timed.resolve_ms, sample.timed.connect_ms) for sample in kept] == [(0, 0), (0, 0)]
    assert [sample.judgement.proof for sample in kept] == [Proof.PROVEN, Proof.PROVEN]


@pytest.mark.parametrize(("at_most", "kept"), [(1, 0), (2, 1), (3, 2), (9, 2)])
def test_a_server_that_closes_early_leaves_fewer_kept_requests(at_most: int, kept: int) -> None:
    with ScriptedServer(COLD, WARM, WARM, keeping(at_most=at_most)) as server:
        outcome = wake(server)
    assert outcome.well, outcome.error
    assert len(outcome.counted(Kind.KEPT)) == kept


def test_a_resume_is_told_apart_from_a_start() -> None:
    resumed = answering(headers=timing(10, 60_000, resumed_ms=5), before_seconds=0.05)
    with ScriptedServer(COLD, resumed) as server:
        plan = Plan(Target("shop"), cycles=2, warm_count=0)
        outcome = wake(server, ask=network("", "d890 ams", ""), plan=plan)
    assert proofs(outcome) == [(Kind.COLD, Proof.PROVEN), (Kind.RESUMED, Proof.PROVEN)]
    assert outcome.well


def test_a_process_that_answered_before_the_sleep_was_suspended() -> None:
    old = answering(headers=timing(10, 60_000))
    with ScriptedServer(COLD, old) as server:
        plan = Plan(Target("shop"), cycles=2, warm_count=0)
        outcome = wake(server, ask=network("", "d890 ams", ""), plan=plan)
    assert proofs(outcome)[1] == (Kind.RESUMED, Proof.SEEN_ASLEEP)


@pytest.mark.parametrize(
    ("totals_ms", "spread"),
    [
        ((3.0, 1.0, 2.0), Spread(3, 1.0, 2.0, 3.0, 3.0)),
        ((4.0, 1.0), Spread(2, 1.0, 2.5, 4.0, 4.0)),
        (tuple(float(n) for n in range(1, 11)), Spread(10, 1.0, 5.5, 9.0, 10.0)),
        (tuple(float(n) for n in range(11, 0, -1)), Spread(11, 1.0, 6.0, 10.0, 11.0)),
        ((7.0,), Spread(1, 7.0, 7.0, 7.0, 7.0)),
        ((), None),
    ],
)
def test_the_spread_of_times(totals_ms: tuple[float, ...], spread: Spread | None) -> None:
    timing = ServerTiming()
    timed = [Timed("::1", 0.0, 0.0, 0.0, total_ms) for total_ms in totals_ms]
    samples = tuple(Sample(Kind.WARM, one, timing, judge_warm(timing, one)) for one in timed)
    outcome = WakeOutcome(Plan(Target("shop")), (Cycle(0.0, samples),))
    assert outcome.spread(Kind.WARM) == spread
    assert outcome.spread(Kind.COLD) is None


def test_nine_in_ten_times_do_not_exceed_p90_and_one_less_would_not_do() -> None:
    for count in range(1, 200):
        times = [float(n) for n in range(count)]
        spread = spread_of(times)
        assert spread is not None
        below = sum(time <= spread.p90_ms for time in times)
        assert below * 10 >= count * 9 > (below - 1) * 10, count


def test_ctrl_c_keeps_what_was_measured_and_each_row_was_told_as_it_came() -> None:
    asked: list[RecordType] = []

    def ask(name: str, kind: RecordType) -> Answer:
        if kind is not RecordType.AAAA and RecordType.AAAA in asked:
            raise KeyboardInterrupt  # while the second sleep is waited for
        asked.append(kind)
        return network("")(name, kind)

    stream = io.StringIO()
    with ScriptedServer(COLD, WARM) as server:
        outcome = wake(server, stream, ask=ask, plan=Plan(Target("shop"), cycles=3, warm_count=1))
    assert (outcome.interrupted, outcome.well) == (True, False)
    assert proofs(outcome)[0] == (Kind.COLD, Proof.PROVEN)
    assert re.search(r"1 of 3: cold \d+ ms, proven", stream.getvalue())
