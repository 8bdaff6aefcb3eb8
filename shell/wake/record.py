"""What a program reads of `wake --json`: one object on one line.

Times in ms and seconds as the names say, null where something is not known. Fields are only ever added under one
`schema_version`.

schema_version, command, ok, error, app, target, protocol, port, path (null for tcp),
  began_at (ISO 8601, UTC),
  cycles: [{waited_seconds, asked_to (stop, suspend or null), requests: [{kind, address, resolve_ms, connect_ms,
    first_byte_ms, total_ms, status, machine_id, boot_ms, age_ms, resumed_ms, proof, why, woke_from,
    parts: {network_ms, platform_ms, boot_ms, answer_ms, body_ms} or null}]}],
  cold, resumed, warm, kept: {count, min_ms, median_ms, p90_ms, max_ms} or null,
  over_budget: [{kind, statistic, limit_ms, measured_ms}]

kind is cold (woke from stop, or from a sleep nobody told of), resumed (woke from suspend), warm (a connection of its
own) or kept (all on one connection: resolve_ms and connect_ms are 0). Requests that were refuted are in `cycles` only.
parts add up to total_ms. proof is one of proven, seen_asleep, untold, not_proven; woke_from is stop, suspend or null.
p90 is the nearest rank.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC
from typing import TYPE_CHECKING, Any

from shell.phases import Protocols
from shell.wake.outcome import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from shell.wake.budget import Breach
    from shell.wake.outcome import Cycle, Outcome, Sample

SCHEMA_VERSION = 2


def wake_record(outcome: Outcome, began_at: datetime, breaches: Sequence[Breach] = ()) -> dict[str, Any]:
    """Return the record of `wake`."""
    target = outcome.plan.target
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "wake",
        "ok": outcome.well,
        "error": outcome.error or None,
        "app": target.app_name,
        "target": str(target),
        "protocol": target.protocol,
        "port": target.port,
        "path": target.path if target.protocol is Protocols.HTTP else None,
        "began_at": began_at.astimezone(UTC).isoformat(timespec="seconds"),
        "cycles": [_cycle(cycle) for cycle in outcome.cycles],
        **{kind.value: _rounded(asdict(spread)) if (spread := outcome.spread(kind)) else None for kind in Kind},
        "over_budget": [_rounded({**asdict(breach.limit), "measured_ms": breach.measured_ms}) for breach in breaches],
    }


def _cycle(cycle: Cycle) -> dict[str, Any]:
    return {
        "waited_seconds": round(cycle.waited_seconds, 3),
        "asked_to": cycle.mode,
        "requests": [_request(sample) for sample in cycle.samples],
    }


def _request(sample: Sample) -> dict[str, Any]:
    timed = asdict(sample.timed)
    reply = timed.pop("reply")
    return _rounded(
        {
            "kind": sample.kind,
            **timed,
            "status": reply["status"] if reply else None,
            "machine_id": sample.machine_id or None,
            **asdict(sample.server_timing),
            **asdict(sample.judgement),
            "proof": sample.judgement.proof.name.lower(),
            "parts": _rounded(asdict(sample.judgement.parts)) if sample.judgement.parts else None,
        }
    )


def _rounded(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in fields.items()}
