"""What `auto_stop_machines` may say (docs/fly.md, "fly.toml").

- A boolean or one of three words; `true` is `stop`, `false` and absence are `off`; `"true"` and `"Stop"` are mistakes.
"""

from __future__ import annotations

from enum import StrEnum


class AutoStop(StrEnum):
    """What `auto_stop_machines` asks for; `true` reads as `STOP`, `false` and absence as `OFF`."""

    OFF = "off"
    STOP = "stop"
    SUSPEND = "suspend"


def auto_stop(value: object) -> AutoStop:
    """Return what a value asks for; raise `ValueError` with flyctl's words."""
    if isinstance(value, bool):
        return AutoStop.STOP if value else AutoStop.OFF
    if not isinstance(value, str):
        raise ValueError("autostop value is not a valid bool or string")  # noqa: TRY004 - one error for the caller
    if value not in list(AutoStop):
        raise ValueError(f'invalid autostop string value "{value}"')
    return AutoStop(value)
