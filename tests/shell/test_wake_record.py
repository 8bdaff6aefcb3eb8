from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

from shell.http_reply import Reply
from shell.phases import Protocols, Target, Timed
from shell.wake import record as documented
from shell.wake.budget import breaches_of, read_budget
from shell.wake.outcome import Cycle, Kind, Outcome, Sample
from shell.wake.plan import Plan, SleepMode
from shell.wake.proof import Asleep, ServerTiming, judge_cold, judge_warm
from shell.wake.record import wake_record

NOON = datetime(2026, 11, 20, 12, 0, 0, 5, tzinfo=UTC)
COLD_TIMED = Timed("fdaa::1", 1.0, 2.0, 300.12345, 310.0, Reply(200, (("X-Machine-Id", "d890"),), 3, b"ok\n"))
COLD_TIMING = ServerTiming(200.0, 250.0)
COLD = Sample(Kind.COLD, COLD_TIMED, COLD_TIMING, judge_cold(COLD_TIMING, COLD_TIMED, Asleep()))
RAW = Timed("fdaa::1", 1.0, 1.0, 1.0, 3.0)
WARM = Sample(Kind.WARM, RAW, ServerTiming(), judge_warm(ServerTiming(), RAW))
OUTCOME = Outcome(Plan(Target("shop")), (Cycle(1.23456, (COLD, WARM), SleepMode.STOP),))


def test_the_record_has_the_documented_fields() -> None:
    record = wake_record(OUTCOME, NOON)
    assert " ".join(record) == (
        "schema_version command ok error app target protocol port path began_at cycles "
        "cold resumed warm kept over_budget"
    )
    cycle = record["cycles"][0]
    assert (cycle["waited_seconds"], cycle["asked_to"]) == (1.235, "stop")
    assert " ".join(cycle["requests"][0]) == (
        "kind address resolve_ms connect_ms first_byte_ms total_ms status machine_id "
        "boot_ms age_ms resumed_ms proof why woke_from parts"
    )
    assert " ".join(cycle["requests"][0]["parts"]) == "network_ms platform_ms boot_ms answer_ms body_ms"
    assert " ".join(record["cold"]) == "count min_ms median_ms p90_ms max_ms"
    assert record["resumed"] is record["kept"] is None
    words = documented.__doc__ or ""
    names = {*record, *cycle, *cycle["requests"][0], *cycle["requests"][0]["parts"], *record["cold"]}
    assert {name for name in names if name not in words} == set(), "the module documents its fields"


def test_what_is_not_known_is_null_and_times_are_rounded() -> None:
    cold, warm = wake_record(OUTCOME, NOON)["cycles"][0]["requests"]
    assert (cold["first_byte_ms"], cold["machine_id"], cold["woke_from"]) == (300.123, "d890", "stop")
    assert [warm[name] for name in ("status", "machine_id", "age_ms", "woke_from", "parts")] == [None] * 5
    raw = Outcome(Plan(Target("shop", Protocols.TCP, 1848)), ())
    assert wake_record(raw, NOON)["path"] is None


def test_the_record_is_json_and_its_time_is_utc() -> None:
    paris = NOON.astimezone(timezone(timedelta(hours=1)))
    record = wake_record(OUTCOME, paris, breaches_of(read_budget("cold=100,kept.p90=5"), OUTCOME))
    again = json.loads(json.dumps(record))
    assert again["began_at"] == "2026-11-20T12:00:00+00:00"
    assert again["over_budget"] == [
        {"kind": "cold", "statistic": "median", "limit_ms": 100.0, "measured_ms": 310.0},
        {"kind": "kept", "statistic": "p90", "limit_ms": 5.0, "measured_ms": None},
    ]
