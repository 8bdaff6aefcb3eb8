"""What a program reads: the JSON of `names --json` and `wake --json`.

One object on one line; times in ms and seconds as the names say, null where something is not known. Fields are
only ever added under one `schema_version`.

names: schema_version, command, ok, surveys: [{subject, ok, trouble, remark,
  machines: [{machine_id, region, started, private_ip}],
  answers: [{name, type, meaning, outcome, outcome_text, ttl_seconds, elapsed_ms, server, over_tcp,
    records: [{text}] for TXT, [{address, kind, network, host, machine}] for AAAA}]}]

wake: schema_version, command, ok, error, app, target, protocol, port, path,
  cycles: [{waited_seconds, requests: [{kind, address, resolve_ms, connect_ms, first_byte_ms, total_ms, status,
    machine_id, boot_ms, age_ms, proof, why, app_ms, platform_ms}]}],
  cold, warm: {count, min_ms, median_ms, max_ms} or null. Refuted requests are in `cycles` only.

outcome is one of ok, nxdomain, nodata, servfail, refused, rejected, garbled, timeout, unreachable;
proof is one of proven, seen_asleep, untold, not_proven.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shell.addresses import take_apart
from shell.answers import RecordType
from shell.phases import Protocols
from shell.report import cold_or_warm_ms
from shell.spread import spread_of
from shell.wake import Cycle, Kind, Outcome, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shell.survey import Finding, MachineRow, Survey

SCHEMA_VERSION = 1


def names_record(surveys: Sequence[Survey]) -> dict[str, Any]:
    """Return the record of `names`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "names",
        "ok": not any(survey.trouble for survey in surveys),
        "surveys": [_survey(survey) for survey in surveys],
    }


def wake_record(outcome: Outcome) -> dict[str, Any]:
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
        "cycles": [_cycle(cycle) for cycle in outcome.cycles],
        "cold": _spread(outcome, Kind.COLD),
        "warm": _spread(outcome, Kind.WARM),
    }


def _survey(survey: Survey) -> dict[str, Any]:
    return {
        "subject": survey.subject,
        "ok": not survey.trouble,
        "trouble": survey.trouble or None,
        "remark": survey.remark or None,
        "machines": [_machine(row) for row in survey.machines],
        "answers": [_answer(finding) for finding in survey.findings],
    }


def _machine(row: MachineRow) -> dict[str, Any]:
    return {**asdict(row.machine), "started": row.started, "private_ip": row.private_ip or None}


def _answer(finding: Finding) -> dict[str, Any]:
    answer = finding.answer
    is_aaaa = answer.record_type is RecordType.AAAA
    return {
        "name": answer.name,
        "type": answer.record_type,
        "meaning": finding.question.meaning,
        "outcome": answer.outcome.name.lower(),
        "outcome_text": answer.outcome,
        "ttl_seconds": answer.ttl_seconds,
        "elapsed_ms": round(answer.elapsed_ms, 3),
        "server": answer.server or None,
        "over_tcp": answer.over_tcp,
        "records": [_address(record) if is_aaaa else {"text": record} for record in answer.records],
    }


def _address(record: str) -> dict[str, Any]:
    address = take_apart(record)
    return {
        "address": address.text,
        "kind": address.kind.name.lower(),
        "network": address.network or None,
        "host": address.host or None,
        "machine": address.machine or None,
    }


def _cycle(cycle: Cycle) -> dict[str, Any]:
    return {
        "waited_seconds": round(cycle.waited_seconds, 3),
        "requests": [_request(sample) for sample in cycle.samples],
    }


def _request(sample: Sample) -> dict[str, Any]:
    timed, timing, judgement = sample.timed, sample.server_timing, sample.judgement
    return {
        "kind": sample.kind,
        "address": timed.address,
        "resolve_ms": round(timed.resolve_ms, 3),
        "connect_ms": round(timed.connect_ms, 3),
        "first_byte_ms": round(timed.first_byte_ms, 3),
        "total_ms": round(timed.total_ms, 3),
        "status": timed.reply.status if timed.reply else None,
        "machine_id": sample.machine_id or None,
        "boot_ms": timing.boot_ms,
        "age_ms": timing.age_ms,
        "proof": judgement.proof.name.lower(),
        "why": judgement.why,
        "app_ms": judgement.app_ms,
        "platform_ms": None if judgement.platform_ms is None else round(judgement.platform_ms, 3),
    }


def _spread(outcome: Outcome, kind: Kind) -> dict[str, Any] | None:
    spread = spread_of(cold_or_warm_ms(outcome, kind))
    return asdict(spread) if spread else None
