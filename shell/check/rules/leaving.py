"""Whether there is time to finish before the Machine stops.

Rules (docs/fly.md, "Sleep and wake" and "fly.toml")
- Fly sends `kill_signal`, waits `kill_timeout` (5 s when nothing is said, 300 s at most), then kills.
- The drain of this blueprint's service (DRAIN_SECONDS, 8 s when nothing is said) must end before that. How long another
  app needs is not known, and its DRAIN_SECONDS may mean anything.
"""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING

from shell.check.finding import Edit, Scope, error, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.check.finding import Finding
    from shell.check.subject import Subject

_DEFAULT_SECONDS, _MOST_SECONDS = 5, 300
_USUAL_DRAIN_SECONDS, _MARGIN_SECONDS = 8, 2
_SIGNALS = ("SIGINT", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGKILL", "SIGSTOP")
_UNHANDLED = ("SIGKILL", "SIGSTOP")
_DRAINED = ("SIGINT", "SIGTERM")  # what private_svc handles

UNKNOWN_SIGNAL = warning(
    "unknown-signal",
    "flyctl lets it pass, and Fly's page does not list it: the app may never be told to leave.",
    'Name one of SIGINT, SIGTERM, SIGQUIT, SIGUSR1 and SIGUSR2, for example kill_signal = "SIGTERM".',
)
UNDRAINED_SIGNAL = error(
    "undrained-signal",
    "That signal ends the app at once: work in flight is lost at every stop.",
    'Name a signal that the app handles, for example kill_signal = "SIGINT".',
    Scope.BLUEPRINT,
)
KILL_TIMEOUT_MISSING = error(
    "kill-timeout-missing",
    "Fly kills after 5 seconds: work that the service is still finishing is cut off.",
    "Set kill_timeout to more than DRAIN_SECONDS.",
    Scope.BLUEPRINT,
)
KILL_TIMEOUT_RANGE = warning(
    "kill-timeout-range",
    "flyctl lets it pass, and Fly waits 300 seconds at most.",
    'Set kill_timeout to at most "300s".',
)
KILL_TIMEOUT_DRAIN = error(
    "kill-timeout-drain",
    "Fly kills before the drain ends: work in flight is cut off.",
    "Set kill_timeout to more than DRAIN_SECONDS, or DRAIN_SECONDS to less.",
    Scope.BLUEPRINT,
)
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
        if drain_seconds is not None and drain_seconds >= _DEFAULT_SECONDS:
            message = f"kill_timeout is unset (default {_DEFAULT_SECONDS} s); DRAIN_SECONDS is {drain_seconds:g}"
            yield KILL_TIMEOUT_MISSING.broken("kill_timeout", message, fix, *edits)
    elif not 0 < given <= _MOST_SECONDS:
        message = f"expected more than 0 and at most {_MOST_SECONDS} s, got {given:g} s"
        nearest = f'kill_timeout = "{_MOST_SECONDS}s"' if given > _MOST_SECONDS else fix
        yield KILL_TIMEOUT_RANGE.broken("kill_timeout", message, nearest)
    elif drain_seconds is not None and given <= drain_seconds:
        message = f"expected more than the drain, {drain_seconds:g} s (DRAIN_SECONDS), got {given:g} s"
        yield KILL_TIMEOUT_DRAIN.broken("kill_timeout", message, fix, *edits)


def _is_missing(subject: Subject) -> bool:
    experimental = subject.root.table("experimental")
    holders = (subject.root, *([experimental] if experimental else []))
    values = [holder.values.get("kill_timeout") for holder in holders]
    return all(value is None or isinstance(value, bool) for value in values)
