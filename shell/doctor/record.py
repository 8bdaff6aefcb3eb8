"""What a program reads of `doctor --json`; fields are only ever added under one `schema_version`.

One object on one line: schema_version, command, ok, app (null with --here outside an app), fault (of the first
failure) or null, rungs: [{rung, verdict, did, got, fault, fault_text, cause, command}], and with --here
sockets: [{address, port, process}]. verdict is ok, failed or skipped; fault is the lower-case name of a Fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shell.doctor.finding import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from shell.doctor.listening import Listening

SCHEMA_VERSION = 1


def doctor_record(app_name: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the record of `doctor`."""
    rungs = [_rung(finding) for finding in findings]
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "doctor",
        "ok": not any(finding.verdict is Verdict.FAILED for finding in findings),
        "app": app_name or None,
        "fault": next((rung["fault"] for rung in rungs if rung["fault"]), None),
        "rungs": rungs,
    }


def here_record(app_name: str, findings: Sequence[Finding], sockets: Collection[Listening]) -> dict[str, Any]:
    """Return the record of `doctor --here`."""
    rows = [{"address": it.address, "port": it.port, "process": it.process or None} for it in sockets]
    return {**doctor_record(app_name, findings), "sockets": rows}


def _rung(finding: Finding) -> dict[str, Any]:
    return {
        "rung": finding.rung,
        "verdict": finding.verdict,
        "did": finding.did or None,
        "got": finding.got,
        "fault": finding.fault.name.lower() if finding.fault else None,
        "fault_text": finding.fault,
        "cause": finding.cause or None,
        "command": finding.command or None,
    }
