"""Whether there is time to finish before the Machine stops.

Rules (docs/fly.md, "Sleep and wake" and "fly.toml")
- Fly sends `kill_signal`, waits `kill_timeout` (5 s when nothing is said, 300 s at most), then kills.
- The drain (DRAIN_SECONDS of the service, 8 s when nothing is said) must end before that.
"""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING

from shell.check.finding import Edit, error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.check.finding import Finding
    from shell.check.subject import Subject

_DEFAULT_SECONDS, _MOST_SECONDS = 5, 300
_USUAL_DRAIN_SECONDS, _MARGIN_SECONDS = 8, 2
_SIGNALS = ("SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGSTOP")
_UNHANDLED = ("SIGKILL", "SIGSTOP")
_DRAINED = ("SIGINT", "SIGTERM")  # what private_svc handles

UNKNOWN_SIGNAL = error("unknown-signal", "flyctl lets it pass, and your app is not told to leave by a signal it knows.")
UNDRAINED_SIGNAL = error("undrained-signal", "That signal ends the app at once: work in flight is lost at every stop.")
KILL_TIMEOUT_MISSING = error(
    "kill-timeout-missing", "Fly kills after 5 seconds: work that is still draining is cut off."
)
KILL_TIMEOUT_RANGE = error("kill-timeout-range", "flyctl lets it pass, and Fly gives no such time.")
KILL_TIMEOUT_DRAIN = error("kill-timeout-drain", "Fly kills before the drain ends: work in flight is cut off.")
RULES = (UNKNOWN_SIGNAL, UNDRAINED_SIGNAL, KILL_TIMEOUT_MISSING, KILL_TIMEOUT_RANGE, KILL_TIMEOUT_DRAIN)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge the signal and the time."""
    name = subject.fly_toml.kill_signal
    if name.upper() not in _SIGNALS:
        message = f"expected {', '.join(_SIGNALS[:5])}, got {name!r:.60}"
        yield UNKNOWN_SIGNAL.broken("kill_signal", message, 'kill_signal = "SIGINT"')
    elif name.upper() in _UNHANDLED:
        message = f"expected a signal that can be handled, got {name}"
        yield UNDRAINED_SIGNAL.broken("kill_signal", message, 'kill_signal = "SIGINT"')
    elif subject.is_blueprint and name.upper() not in _DRAINED:
        message = f"expected {' or '.join(_DRAINED)}, on which the service drains, got {name}"
        yield UNDRAINED_SIGNAL.broken("kill_signal", message, 'kill_signal = "SIGINT"')
    yield from _timeout(subject)


def _timeout(subject: Subject) -> Iterator[Finding]:
    given, drain_seconds = subject.fly_toml.kill_timeout_seconds, subject.drain_seconds
    enough = floor(_USUAL_DRAIN_SECONDS if drain_seconds is None else drain_seconds) + _MARGIN_SECONDS
    possible = enough <= _MOST_SECONDS
    fix = f'kill_timeout = "{enough}s"' if possible else f"DRAIN_SECONDS of at most {_MOST_SECONDS - _MARGIN_SECONDS}"
    edits = [Edit("kill_timeout", f"{enough}s")] if possible else []
    if _is_missing(subject):
        if drain_seconds is None or drain_seconds >= _DEFAULT_SECONDS:
            message = f"expected kill_timeout, got none, which is {_DEFAULT_SECONDS} s; {_drains(drain_seconds)}"
            yield KILL_TIMEOUT_MISSING.broken("kill_timeout", message, fix, *edits)
    elif not 0 < given <= _MOST_SECONDS:
        message = f"expected more than 0 and at most {_MOST_SECONDS} s, got {given:g} s"
        yield KILL_TIMEOUT_RANGE.broken("kill_timeout", message, fix)
    elif drain_seconds is not None and given <= drain_seconds:
        message = f"expected more than the drain, {drain_seconds:g} s (DRAIN_SECONDS), got {given:g} s"
        yield KILL_TIMEOUT_DRAIN.broken("kill_timeout", message, fix, *edits)


def _is_missing(subject: Subject) -> bool:
    experimental = subject.root.table("experimental")
    holders = (subject.root, *([experimental] if experimental else []))
    values = [holder.values.get("kill_timeout") for holder in holders]
    return all(value is None or isinstance(value, bool) for value in values)


def _drains(drain_seconds: float | None) -> str:
    return (
        f"the drain takes {drain_seconds:g} s (DRAIN_SECONDS)"
        if drain_seconds
        else "how long the app drains is not known"
    )
