"""What a program reads of `names --json`: one object on one line.

Times in ms and seconds as the names say, null where something is not known. Fields are only ever added under one
`schema_version`.

schema_version, command, ok, surveys: [{subject, ok, trouble, remark,
  machines: [{machine_id, region, started, private_ip}],
  answers: [{name, type, meaning, outcome, outcome_text, ttl_seconds, elapsed_ms, server, over_tcp,
    failures: [{server, outcome, outcome_text, reason}],
    records: [{text}] for TXT, [{address, kind, network, host, machine}] for AAAA}]}]

outcome is one of ok, nxdomain, nodata, servfail, refused, rejected, garbled, truncated, timeout, unreachable.
failures has the nameservers that did not tell, in the order in which they were asked; reason is null, a system error or
a DNS code.
"""

from __future__ import annotations

from dataclasses import asdict, astuple
from typing import TYPE_CHECKING, Any

from shell.addresses import take_apart
from shell.answers import Answer, Failure, RecordType
from shell.names.grammar import meaning_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shell.names.survey import Survey

SCHEMA_VERSION = 1


def names_record(surveys: Sequence[Survey]) -> dict[str, Any]:
    """Return the record of `names`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "names",
        "ok": not any(survey.trouble for survey in surveys),
        "surveys": [_survey(survey) for survey in surveys],
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
        "failures": [_failure(failure) for failure in answer.failures],
        "records": [_address(record) if is_aaaa else {"text": record} for record in answer.records],
    }


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "server": failure.server,
        "outcome": failure.outcome.name.lower(),
        "outcome_text": failure.outcome,
        "reason": failure.reason or None,
    }


def _address(record: str) -> dict[str, Any]:
    text, kind, *parts = astuple(take_apart(record))
    return {
        "address": text,
        "kind": kind.name.lower(),
        **{name: part or None for name, part in zip(("network", "host", "machine"), parts, strict=True)},
    }
