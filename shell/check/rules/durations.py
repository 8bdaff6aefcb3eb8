"""A number without a unit means something else in each place.

Rules (docs/fly.md, "fly.toml")
- `kill_timeout` in seconds, which is what everybody means; `[[services.*_checks]]` and `[checks]` in milliseconds.
- `[[http_service.checks]]`, `[deploy]` and `kill_timeout` of `machine_checks` in nanoseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shell.check.finding import Edit, error, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell.check.finding import Finding, Rule
    from shell.check.subject import Subject
    from shell.flytoml.table import Table

_OF_A_CHECK = ("interval", "timeout", "grace_period")
_OF_A_DEPLOY = ("wait_timeout", "release_command_timeout")
_MS_PER_SECOND = 1000

NANOSECONDS = warning(
    "bare-nanoseconds",
    "flyctl reads a number without a unit here as nanoseconds, and raises the times of a check to 1 second.",
    'Write the unit: "15s".',
)
DEPLOY_NANOSECONDS = error(
    "deploy-nanoseconds",
    "flyctl reads a number without a unit here as nanoseconds, so the deploy gives up at once.",
    'Write the unit: "5m".',
)
BARE_DURATION = warning(
    "bare-duration",
    "A number without a unit means milliseconds here and nanoseconds in [[http_service.checks]].",
    'Write the unit: "15s".',
)
RULES = (NANOSECONDS, DEPLOY_NANOSECONDS, BARE_DURATION)


def findings(subject: Subject) -> Iterator[Finding]:
    """Judge every duration."""
    deploy = subject.root.table("deploy")
    for check, unit in subject.checks():
        yield from _bare(check, _OF_A_CHECK, unit)
    if deploy:
        yield from _bare(deploy, _OF_A_DEPLOY, "nanoseconds", DEPLOY_NANOSECONDS)
    for holder in (subject.root, *subject.tables.values()):
        for check in holder.tables("machine_checks"):
            yield from _bare(check, ("kill_timeout",), "nanoseconds")


def _bare(table: Table, keys: tuple[str, ...], unit: str, nanoseconds: Rule = NANOSECONDS) -> Iterator[Finding]:
    for key in keys:
        value = table.values.get(key)
        if not value or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        place = table.path(key)
        message = f"expected a duration with its unit, got {value:g}, which is {value:g} {unit}"
        if unit == "nanoseconds":
            yield nanoseconds.broken(place, message, f'{key} = "{value:g}s" or "{value:g}ms", whichever you meant')
            continue
        written = _written(int(value))
        yield BARE_DURATION.broken(place, message, f'{key} = "{written}"', Edit(place, written))


def _written(ms: int) -> str:
    return f"{ms}ms" if ms % _MS_PER_SECOND else f"{ms // _MS_PER_SECOND}s"
