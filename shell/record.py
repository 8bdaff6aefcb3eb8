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

from dataclasses import asdict, astuple
from typing import TYPE_CHECKING, Any

from shell.addresses import take_apart
from shell.answers import Answer, RecordType
from shell.names import meaning_of
from shell.phases import Protocols
from shell.wake import Kind, Outcome, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shell.survey import Survey

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
        "cycles": [
            {
                "waited_seconds": round(cycle.waited_seconds, 3),
                "requests": [_request(sample) for sample in cycle.samples],
            }
            for cycle in outcome.cycles
        ],
        **{kind.value: asdict(spread) if (spread := outcome.spread(kind)) else None for kind in Kind},
    }


def _survey(survey: Survey) -> dict[str, Any]:
    return {
        "subject": survey.subject,
        "ok": not survey.trouble,
        "trouble": survey.trouble or None,
        "remark": survey.remark or None,
        "machines": [{**asdict(row), "private_ip": row.private_ip or None} for row in survey.machines],
        "answers": [_answer(answer) for answer in survey.answers],
    }


def _answer(answer: Answer) -> dict[str, Any]:
    is_aaaa = answer.record_type is RecordType.AAAA
    return {
        "name": answer.name,
        "type": answer.record_type,
        "meaning": meaning_of(answer.name)[1],
        "outcome": answer.outcome.name.lower(),
        "outcome_text": answer.outcome,
        "ttl_seconds": answer.ttl_seconds,
        "elapsed_ms": round(answer.elapsed_ms, 3),
        "server": answer.server or None,
        "over_tcp": answer.over_tcp,
        "records": [_address(record) if is_aaaa else {"text": record} for record in answer.records],
    }


def _address(record: str) -> dict[str, Any]:
    text, kind, *parts = astuple(take_apart(record))
    return {
        "address": text,
        "kind": kind.name.lower(),
        **{name: part or None for name, part in zip(("network", "host", "machine"), parts, strict=True)},
    }


def _request(sample: Sample) -> dict[str, Any]:
    timed = asdict(sample.timed)
    reply = timed.pop("reply")
    fields = {
        "kind": sample.kind,
        **timed,
        "status": reply["status"] if reply else None,
        "machine_id": sample.machine_id or None,
        **asdict(sample.server_timing),
        **asdict(sample.judgement),
        "proof": sample.judgement.proof.name.lower(),
    }
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in fields.items()}
