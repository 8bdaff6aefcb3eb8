"""A number without a unit means something else in each place.

Rules (docs/fly.md, "fly.toml")
- `kill_timeout` in seconds; `[[services.*_checks]]` and `[checks]` in milliseconds.
- `[[http_service.checks]]`, `[deploy]` and `kill_timeout` of `machine_checks` in nanoseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.check.finding import Edit, error, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.check.finding import Finding
    from shell.check.subject import Subject
    from shell.flytoml.table import Table

_OF_A_CHECK = ("interval", "timeout", "grace_period")
_OF_A_DEPLOY = ("wait_timeout", "release_command_timeout")
_UNITS = {"seconds": "s", "milliseconds": "ms", "nanoseconds": "ns"}
_MS_PER_SECOND = 1000

NANOSECONDS = error(
    "bare-nanoseconds", "flyctl reads a bare number here as nanoseconds, so the time is as good as none."
)
BARE_DURATION = warning(
    "bare-duration", "The same number means seconds, milliseconds or nanoseconds, depending on the place."
)
RULES = (NANOSECONDS, BARE_DURATION)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge every duration."""
    experimental, deploy = subject.root.table("experimental"), subject.root.table("deploy")
    for table in (subject.root, *([experimental] if experimental else [])):
        yield from _bare(table, ("kill_timeout",), "seconds")
    for check, unit in subject.checks():
        yield from _bare(check, _OF_A_CHECK, unit)
    if deploy:
        yield from _bare(deploy, _OF_A_DEPLOY, "nanoseconds")
    for holder in (subject.root, *subject.tables.values()):
        for check in holder.tables("machine_checks"):
            yield from _bare(check, ("kill_timeout",), "nanoseconds")


def _bare(table: Table, keys: tuple[str, ...], unit: str) -> Iterator[Finding]:
    for key in keys:
        value = table.values.get(key)
        if not value or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        place = table.path(key)
        message = f"expected a duration with its unit, got {value:g}, which is {value:g} {unit}"
        if unit == "nanoseconds":
            yield NANOSECONDS.broken(place, message, f'{key} = "{value:g}s" or "{value:g}ms", whichever you meant')
            continue
        written = _written(int(value), unit)
        yield BARE_DURATION.broken(place, message, f'{key} = "{written}"', Edit(place, written))


def _written(number: int, unit: str) -> str:
    if unit == "milliseconds" and number % _MS_PER_SECOND == 0:
        return f"{number // _MS_PER_SECOND}s"
    return f"{number}{_UNITS[unit]}"
