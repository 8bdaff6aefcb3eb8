"""What a person reads of `doctor`: one line a rung, and for a failure what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.doctor.finding import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection

    from rich.console import JustifyMethod

    from shell.doctor.listening import Listening
    from shell.screen import Screen

_STYLES = {Verdict.OK: "green", Verdict.FAILED: "bold red", Verdict.SKIPPED: "yellow"}
_SOCKETS: dict[str, JustifyMethod] = {"listening on": "left", "port": "right", "process": "left"}


def show_finding(screen: Screen, finding: Finding) -> None:
    """Write one rung."""
    screen.marked(f"{finding.verdict:<8}", _STYLES[finding.verdict], f"{finding.rung}: {finding.fault or finding.got}")
    if finding.fault:
        details = {
            "did": finding.did,
            "got": finding.got,
            "cause": finding.cause,
            "run": finding.command,
        }
        for name, text in details.items():
            screen.line(f"  {name:<6}{text}")


def show_sockets(screen: Screen, sockets: Collection[Listening]) -> None:
    """Write the table of listening sockets."""
    rows = [(socket.address, str(socket.port), socket.process or "not visible to this user") for socket in sockets]
    screen.table("sockets of this Machine", _SOCKETS, rows)
